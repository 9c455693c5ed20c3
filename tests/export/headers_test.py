"""The graph's reading of headers agrees with Python's."""

import io

import numpy as np
import pytest
from PIL import Image

from rocmr_keras.data.image_headers import read_header as read_in_python
from rocmr_keras.data.runtime import tensorflow

tf = tensorflow()
KINDS = [
    ("jpeg", "RGB", {}),
    ("jpeg", "L", {"progressive": True}),
    ("jpeg", "CMYK", {}),
    ("png", "RGBA", {}),
    ("png", "P", {}),
    ("gif", "P", {}),
    ("bmp", "RGB", {}),
    ("bmp", "P", {}),
    ("bmp", "RGBA", {}),
    ("webp", "RGB", {}),
    ("webp", "RGB", {"lossless": True}),
    ("webp", "RGBA", {}),
]


@pytest.fixture(scope="module")
def read():
    from rocmr_keras.export.graph import headers

    @tf.function(input_signature=[tf.TensorSpec([], "string"), tf.TensorSpec([], "int64")])
    def read(contents, max_pixels):
        return headers.judge_header(contents, max_pixels)

    return lambda contents, max_pixels: read(contents, max_pixels).numpy()


@pytest.mark.parametrize("kind, mode, options", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (300, 7), (16, 260)])
def test_size(read, kind, mode, options, size):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype="uint8")
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    width, height, _ = read_in_python(io.BytesIO(file.getvalue()))
    assert (width, height) == size
    # The largest number that refuses it is one less than its pixels: the size was read right.
    assert read(file.getvalue(), width * height) == 0
    assert read(file.getvalue(), width * height - 1) == 3


def test_bmp_from_the_top(read):
    file = io.BytesIO()
    Image.new("RGB", (5, 4)).save(file, "bmp")
    contents = bytearray(file.getvalue())
    contents[22:26] = (-4).to_bytes(4, "little", signed=True)
    assert read(bytes(contents), 20) == 0 and read(bytes(contents), 19) == 3


def test_gif_with_extensions_and_tables(read):
    frames = [Image.new("P", (9, 7), i) for i in range(3)]
    for frame in frames:
        frame.putpalette(list(range(96)))
    file = io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:], comment=b"c" * 600)
    assert read(file.getvalue(), 63) == 0 and read(file.getvalue(), 62) == 3


@pytest.mark.parametrize("place, value, length", [(28, 4, 2), (28, 16, 2), (30, 1, 4), (14, 12, 4)])
def test_rare_kinds_of_bmp(read, place, value, length):
    file = io.BytesIO()
    Image.new("P", (5, 4)).save(file, "bmp")
    contents = bytearray(file.getvalue())
    contents[place : place + length] = value.to_bytes(length, "little")
    assert read(bytes(contents), 99) == 5
    with pytest.raises(ValueError, match="BMP"):
        read_in_python(io.BytesIO(contents))


def test_a_gif_is_as_large_as_its_first_picture(read):
    file = io.BytesIO()
    Image.new("P", (9, 7)).save(file, "gif")
    contents = bytearray(file.getvalue())
    contents[6:10] = bytes((1, 0, 1, 0))
    assert read(bytes(contents), 63) == 0 and read(bytes(contents), 62) == 3
