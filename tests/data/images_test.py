import io
import struct

import numpy as np
import pytest
from PIL import Image

from rocmr_keras.data.images import decode_image
from rocmr_keras.data.images import fit_image
from rocmr_keras.data.images import read_image
from rocmr_keras.data.images import to_float
from rocmr_keras.data.runtime import tensorflow

RED = (255, 0, 0)

tf = tensorflow()


def assert_colour(image, colour, tolerance=0):
    assert image.dtype == np.uint8 and image.shape[-1] == 3
    np.testing.assert_allclose(
        image.astype(int), np.broadcast_to(colour, image.shape), 0, tolerance
    )


@pytest.mark.parametrize(
    "name, mode, colour, tolerance",
    [
        ("rgb.png", "RGB", RED, 0),
        ("rgb.jpg", "RGB", RED, 3),
        ("gray.png", "L", (76, 76, 76), 0),
        ("gray.jpg", "L", (76, 76, 76), 3),
        ("bits.png", "1", None, 0),
        ("palette.png", "P", RED, 0),
        ("palette.gif", "P", RED, 0),
        ("cmyk.jpg", "CMYK", RED, 6),
        ("opaque.png", "RGBA", RED, 0),
        ("plain.bmp", "RGB", RED, 0),
        ("palette.bmp", "P", RED, 0),
        ("gray.bmp", "L", (76, 76, 76), 0),
        ("deep.bmp", "RGBA", RED, 0),
        ("plain.webp", "RGB", RED, 8),
    ],
)
def test_kinds_of_files(save, name, mode, colour, tolerance):
    image = read_image(save(name, mode=mode, size=(6, 4)))
    assert image.shape == (4, 6, 3)
    if colour is not None:
        assert_colour(image, colour, tolerance)


def test_sixteen_bits(save):
    pixels = np.full((4, 4), 0x8000, "uint16")
    assert_colour(read_image(save("deep.png", pixels)), (128, 128, 128), 1)


def test_transparency_is_white(save):
    pixels = np.zeros((2, 3, 4), "uint8")
    pixels[..., 0] = 255
    pixels[:, 1, 3], pixels[:, 2, 3] = 128, 255
    for name in ("alpha.png", "alpha.webp"):
        image = read_image(save(name, pixels, lossless=True))
        assert_colour(image[:, 0], (255, 255, 255))
        assert_colour(image[:, 1], (255, 127, 127), 1)
        assert_colour(image[:, 2], RED)


def test_transparency_of_gray_and_of_palette(save):
    gray = np.zeros((2, 2, 2), "uint8")
    gray[1, :, 1] = 255
    image = read_image(save("gray.png", gray))
    assert_colour(image[0], (255, 255, 255))
    assert_colour(image[1], (0, 0, 0))
    palette = save("palette.png", mode="P", transparency=Image.new("P", (1, 1)).getpixel((0, 0)))
    assert read_image(palette).shape == (8, 8, 3)


def test_animation_gives_its_first_picture(save):
    second = Image.new("RGB", (8, 8), (0, 0, 255))
    path = save("moving.gif", save_all=True, append_images=[second], duration=100)
    assert_colour(read_image(path), RED)


@pytest.mark.parametrize("seed", range(3))
def test_transparent_gif_is_white(save, seed):
    pixels = 255 * np.random.default_rng(seed).integers(0, 2, (9, 7, 4), dtype="uint8")
    path = save("alpha.gif", pixels)
    with Image.open(path) as file:
        shown = file.convert("RGBA")
    expected = Image.new("RGBA", shown.size, "white")
    expected.alpha_composite(shown)
    np.testing.assert_array_equal(read_image(path), expected.convert("RGB"))


def test_transparent_gif_with_a_table_of_the_picture(save):
    path = save("alpha.gif", 255 * np.eye(4, dtype="uint8")[..., None].repeat(4, 2))
    with open(path, "rb") as file:
        contents = file.read()
    # The table of all pictures becomes that of the one.
    flags, size = contents[10], 3 << 1 + (contents[10] & 7)
    table, rest = contents[13 : 13 + size], contents[13 + size :]
    start = rest.index(b"," + bytes(4))
    picture = rest[start : start + 9] + bytes([rest[start + 9] | 0x80 | flags & 7]) + table
    own = contents[:10] + bytes([0]) + contents[11:13] + rest[:start] + picture
    np.testing.assert_array_equal(read_image(own + rest[start + 10 :]), read_image(path))


def test_a_gif_beside_the_corner_of_its_screen(save):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6), dtype="uint8")
    with open(save("shifted.gif", pixels), "rb") as file:
        contents = bytearray(file.read())
    expected = read_image(bytes(contents))
    place = contents.index(b"," + struct.pack("<HHHH", 0, 0, 6, 4))
    contents[place + 1 : place + 5] = struct.pack("<HH", 5, 5)
    contents[6:10] = struct.pack("<HH", 30, 30)
    np.testing.assert_array_equal(read_image(bytes(contents)), expected)


def test_exif_rotation_is_left_alone(save):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(save("turned.jpg", size=(6, 4), exif=exif)).shape == (4, 6, 3)


def test_graph_decodes_as_python_does(save):
    paths = [save("a.png", mode="RGBA"), save("b.jpg", mode="L"), save("c.gif", mode="P")]
    paths += [save("d.bmp", mode="P"), save("e.bmp"), save("f.gif", np.zeros((3, 3, 4), "uint8"))]
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    for path, image in zip(paths, dataset.map(lambda path: decode_image(tf.io.read_file(path)))):
        np.testing.assert_array_equal(image, read_image(path))


def test_whole_centre_is_kept():
    rows, columns = np.meshgrid(np.arange(4), np.arange(8), indexing="ij")
    image = np.stack([rows, columns, columns], axis=-1).astype("uint8")
    fitted = fit_image(tf.constant(image), (4, 4)).numpy()
    np.testing.assert_array_equal(fitted, image[:, 2:6])
    np.testing.assert_array_equal(fit_image(tf.constant(image), (4, 8)), image)


def test_shrinking_is_antialiased():
    stripes = np.zeros((32, 32, 3), "uint8")
    stripes[:, ::2] = 255
    fitted = fit_image(tf.constant(stripes), (4, 4)).numpy()
    assert 100 < fitted.min() and fitted.max() < 155


@pytest.mark.parametrize("shape", [(1, 10000, 3), (10000, 1, 3), (1, 1, 3), (3, 5, 3)])
def test_odd_shapes(shape):
    image = tf.fill(shape, tf.constant(7, "uint8"))
    assert_colour(fit_image(image, (8, 6)).numpy(), (7, 7, 7))


def test_to_float():
    values = np.arange(256, dtype="uint8")
    floats = to_float(values)
    np.testing.assert_array_equal(floats, to_float(tf.constant(values)).numpy())
    assert floats.dtype == np.float32 and floats[0] == 0 and floats[-1] == 1
    np.testing.assert_allclose(floats, values / 255, rtol=1e-6)
    np.testing.assert_array_equal(np.round(floats * 255), values)


def test_every_failure_names_the_file(save, tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.jpg").write_text("not an image")
    whole = io.BytesIO()
    Image.new("RGB", (64, 64)).save(whole, "jpeg")
    # Whole in its header and end, broken in a table that only decoding reads.
    broken = whole.getvalue().replace(b"\xff\xdb", b"\xff\xe5")
    (tmp_path / "broken.jpg").write_bytes(broken)
    for name, why in (
        ("none.png", "no such file"),
        ("folder.png", "a folder, not a file"),
        ("text.jpg", "not a JPEG, PNG, GIF, BMP or WebP file"),
        ("broken.jpg", ""),
    ):
        with pytest.raises(ValueError, match=f"Received: '.*{name}': {why}.*Replace the image"):
            read_image(tmp_path / name)
