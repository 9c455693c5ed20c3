import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rocmr_keras.data.image_headers import read_header

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype="uint8")


def encode(kind, pixels=NOISE, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def check(contents):
    return read_header(io.BytesIO(contents))


def png_that_claims(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    )
    return start + encode("png")[33:]


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp"])
def test_size(kind):
    assert check(encode(kind)) == (64, 48, 1)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": Image.Exif()}, {"exact": True}])
def test_kinds_of_webp(options):
    assert check(encode("webp", **options))[:2] == (64, 48)
    transparent = np.zeros((48, 64, 4), "uint8")
    assert check(encode("webp", transparent, **options))[:2] == (64, 48)


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 5}, {"subsampling": 0}])
def test_kinds_of_jpeg(options):
    assert check(encode("jpeg", **options)) == (64, 48, 1)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert check(encode("jpeg", exif=exif)).orientation == orientation


def test_thumbnail_does_not_pass_for_the_end():
    # EXIF of cameras holds a whole little JPEG, end marker included.
    thumbnail = b"Exif\0\0MM\0*\0\0\0\x08\0\0" + encode("jpeg", NOISE[:8, :8])
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    contents = encode("jpeg")
    whole = contents[:2] + app1 + contents[2:]
    assert check(whole) == (64, 48, 1)
    with pytest.raises(ValueError, match="truncated"):
        check(whole[:-20])


def test_bytes_after_the_end_and_between_markers_are_allowed():
    contents = encode("jpeg")
    assert check(contents + b"\0" * 9000) == (64, 48, 1)
    assert check(contents[:2] + b"\xff\xff" + contents[2:]) == (64, 48, 1)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
def test_truncated(kind, share):
    contents = encode(kind)
    with pytest.raises(ValueError):
        check(contents[: int(share * len(contents))])


def test_a_flipped_bit_of_a_png():
    contents = bytearray(encode("png"))
    contents[len(contents) // 2] ^= 1
    with pytest.raises(ValueError, match="a checksum is wrong"):
        check(bytes(contents))


@pytest.mark.parametrize(
    "contents, message",
    [
        (b"", "an empty file"),
        (b"<svg></svg>", "not a JPEG, PNG, GIF, BMP or WebP"),
        (b"II*\0" + b"\0" * 40, "not a JPEG, PNG, GIF, BMP or WebP"),
        (b"\xff\xd8\xff" + b"\0" * 60, "truncated|corrupt|frame"),
        (png_that_claims(20000, 20000), "20000 x 20000 pixels, over the limit of 64,000,000"),
        (png_that_claims(0, 5), "0 x 5 pixels"),
    ],
    ids=["empty", "svg", "tiff", "zeros", "huge", "no width"],
)
def test_refused(contents, message):
    with pytest.raises(ValueError, match=message):
        check(contents)


def test_a_gif_is_as_large_as_its_first_picture():
    """145 kB with a screen of one pixel took nearly a gigabyte."""
    contents = bytearray(encode("gif", np.zeros((3, 5), "uint8")))
    contents[6:10] = struct.pack("<HH", 1, 1)
    assert check(bytes(contents))[:2] == (5, 3)
    place = contents.index(b"," + struct.pack("<HHHH", 0, 0, 5, 3))
    contents[place + 5 : place + 9] = struct.pack("<HH", 14000, 14000)
    with pytest.raises(ValueError, match="14000 x 14000 pixels, over the limit"):
        check(bytes(contents))
    contents[place] = ord("?")
    with pytest.raises(ValueError, match="a GIF without a picture"):
        check(bytes(contents))


def change_bmp(mode, place, value, length=4):
    contents = bytearray(encode("bmp", np.asarray(Image.fromarray(NOISE).convert(mode))))
    contents[place : place + length] = value.to_bytes(length, "little")
    return bytes(contents)


RARE_BMPS = [
    (encode("bmp", np.zeros((3, 5), "bool")), "a BMP of 1 bits"),
    (change_bmp("L", 28, 16, 2), "a BMP of 16 bits"),
    (change_bmp("L", 14, 12), "a header of 12 bytes"),
    (change_bmp("L", 30, 1), "a compressed BMP"),
    (change_bmp("RGBA", 30, 3), "a compressed BMP"),
    (change_bmp("L", 10, 60), "a BMP without its palette"),
]


@pytest.mark.parametrize("contents, message", RARE_BMPS)
def test_rare_kinds_of_bmp(contents, message):
    with pytest.raises(ValueError, match=message):
        check(contents)


def test_a_bmp_with_the_usual_masks():
    contents = change_bmp("RGBA", 30, 3)
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    assert check(contents[:54] + masks + contents[54:])[:2] == (64, 48)


def test_animated_webp():
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    file = io.BytesIO()
    frames[0].save(file, "webp", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="an animated WebP"):
        check(file.getvalue())


def test_deep_jpeg():
    contents = bytearray(encode("jpeg"))
    contents[contents.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ValueError, match="a JPEG of 12 bits"):
        check(bytes(contents))
