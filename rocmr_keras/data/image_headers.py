import collections
import os
import struct
import zlib

MAX_PIXELS = 64_000_000

ImageHeader = collections.namedtuple("ImageHeader", ["width", "height", "orientation"])
ImageHeader.__doc__ = """What an image file says of itself.

Args:
    width: Integer, pixels.
    height: Integer, pixels.
    orientation: Integer, 1 to 8, the rotation noted in EXIF; 1 is upright.
"""

# Start-of-frame markers of JPEG; 0xC4, 0xC8 and 0xCC are other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TAIL = 4096
#: Where red, green and blue are in a BMP of 32 bits, as TensorFlow takes it.
USUAL_MASKS = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)


def read_header(file):
    """Reads an image's size and checks that the file is whole, without decoding it.

    Knows what TensorFlow decodes: JPEG, PNG, GIF, BMP and still WebP. A PNG is
    verified by its checksums, the others by their end. The size of a GIF is that of its first
    picture: the screen may be said to be small.

    Args:
        file: Binary file object, at its beginning.

    Returns:
        An `ImageHeader`.

    Raises:
        ValueError: If the image cannot be decoded, or has more than 64 million pixels;
            the message is the reason, to which the caller adds the name.
    """
    head = file.read(32)
    for magic, read in _FORMATS:
        if head.startswith(magic):
            try:
                header = read(file, head)
            except (struct.error, IndexError) as error:
                raise ValueError("truncated") from error
            return _check_size(header)
    if not head:
        raise ValueError("an empty file")
    raise ValueError("not a JPEG, PNG, GIF, BMP or WebP file")


def _check_size(header):
    if header.width < 1 or header.height < 1:
        raise ValueError(f"{header.width} x {header.height} pixels")
    if header.width * header.height > MAX_PIXELS:
        raise ValueError(
            f"{header.width} x {header.height} pixels, over the limit of {MAX_PIXELS:,}"
        )
    return header


def _read_jpeg(file, head):
    size, orientation = None, 1
    file.seek(2)
    while True:
        marker, length = struct.unpack(">HH", file.read(4))
        kind, payload = marker & 0xFF, file.tell()
        if marker >> 8 != 0xFF:
            raise ValueError("a corrupt JPEG header")
        if kind == 0xFF:
            # Any number of fill bytes may stand before a marker.
            file.seek(payload - 3)
            continue
        if kind == 0xE1:
            orientation = _exif_orientation(file.read(length - 2)) or orientation
        elif kind in _FRAMES:
            bits, height, width = struct.unpack(">BHH", file.read(5))
            if bits != 8:
                raise ValueError(f"a JPEG of {bits} bits")
            size = width, height
        elif kind == 0xDA:
            break
        file.seek(payload + length - 2)
    if size is None:
        raise ValueError("a JPEG without a frame")
    _expect_jpeg_end(file)
    return ImageHeader(*size, orientation)


def _expect_jpeg_end(file):
    # Some cameras write more after the end marker: what is not in the tail is
    # looked for in all of the data.
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    for begin in (max(start, end - _TAIL), start):
        file.seek(begin)
        if b"\xff\xd9" in file.read():
            return
    raise ValueError("truncated")


def _exif_orientation(payload):
    if not payload.startswith(b"Exif\0\0"):
        return None
    tiff = payload[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, offset)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, offset + 2 + 12 * entry)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else None
    except struct.error:
        return None
    return None


def _read_png(file, head):
    width, height = struct.unpack_from(">II", head, 16)
    _check_size(ImageHeader(width, height, 1))
    file.seek(8)
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        data = file.read(length)
        (checksum,) = struct.unpack(">I", file.read(4))
        if zlib.crc32(data, zlib.crc32(kind)) != checksum:
            raise ValueError("a corrupt PNG: a checksum is wrong")
        if kind == b"IEND":
            return ImageHeader(width, height, 1)


def _read_gif(file, head):
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
    if not file.read().rstrip(b"\0").endswith(b";"):
        raise ValueError("truncated")
    file.seek(13 + _gif_table_size(head[10]))
    mark = file.read(1)
    while mark == b"!":
        file.seek(1, os.SEEK_CUR)
        while length := file.read(1)[0]:
            file.seek(length, os.SEEK_CUR)
        mark = file.read(1)
    if mark != b",":
        raise ValueError("a GIF without a picture")
    width, height = struct.unpack("<4xHH", file.read(8))
    return ImageHeader(width, height, 1)


def _gif_table_size(flags):
    return 3 << 1 + (flags & 7) if flags & 0x80 else 0


def _read_bmp(file, head):
    file.seek(0)
    head = file.read(66)
    size, offset, kind, width, height, _, bits, compression = struct.unpack_from(
        "<I4xIIiiHHI", head, 2
    )
    _expect_length(file, size)
    if kind < 40 or bits not in (8, 24, 32):
        raise ValueError(f"a BMP of {bits} bits and a header of {kind} bytes")
    # Masks that say what is read anyway are no compression.
    if compression and not (bits == 32 and compression == 3 and head[54:] == USUAL_MASKS):
        raise ValueError("a compressed BMP")
    (used,) = struct.unpack_from("<I", head, 46)
    if bits == 8 and not (used <= 256 and 14 + kind + 4 * (used or 256) <= offset):
        raise ValueError("a BMP without its palette")
    # A negative height says that the rows run from the top.
    return ImageHeader(width, abs(height), 1)


def _read_webp(file, head):
    (length,) = struct.unpack_from("<I", head, 4)
    _expect_length(file, length + 8)
    kind = head[12:16]
    if kind == b"VP8X":
        if head[20] & 0x02:
            raise ValueError("an animated WebP")
        width, height = (1 + int.from_bytes(head[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 26))
    return ImageHeader(width, height, 1)


def _expect_length(file, length):
    if file.seek(0, os.SEEK_END) < length:
        raise ValueError("truncated")


_FORMATS = (
    (b"\xff\xd8\xff", _read_jpeg),
    (b"\x89PNG\r\n\x1a\n", _read_png),
    (b"GIF8", _read_gif),
    (b"BM", _read_bmp),
    (b"RIFF", _read_webp),
)
