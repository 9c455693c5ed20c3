import os
import struct
import zlib

import numpy as np
import pytest

from rocmr_keras.data import Preprocessor
from rocmr_keras.data.packs.decoding import decode_chunk


def expected(preprocessor, images):
    return np.round(preprocessor.load_images(images) * 255).astype("uint8")


def test_files_of_every_kind_are_decoded_as_by_load_images(paths, preprocessor):
    pixels, bad = decode_chunk(preprocessor, paths)
    assert pixels.dtype == np.uint8 and pixels.shape == (9, 4, 4, 3) and not bad
    np.testing.assert_array_equal(pixels, expected(preprocessor, paths))


@pytest.mark.parametrize("together", [False, True])
def test_jpeg_files_alone_are_decoded_as_beside_others(save, preprocessor, together):
    random = np.random.default_rng(1)
    shapes = [(12, 9, 3)] * 3 if together else [(30, 40, 3), (12, 9), (300, 400, 3)]
    paths = [
        save(f"{index}.jpg", random.integers(0, 256, shape, dtype="uint8"))
        for index, shape in enumerate(shapes)
    ]
    paths.append(save("cmyk.jpg", mode="CMYK", size=(9, 12)))
    pixels, bad = decode_chunk(preprocessor, paths)
    assert not bad
    np.testing.assert_array_equal(pixels, expected(preprocessor, paths))
    np.testing.assert_array_equal(pixels, preprocessor.load_files(paths, together))


@pytest.mark.parametrize("image_size, crop", [((5, 3), True), ((8, 8), True), ((3, 9), False)])
def test_small_files_of_one_size_are_resized_together(save, preprocessor, image_size, crop):
    random = np.random.default_rng(1)
    paths = [
        save(f"{index}.png", random.integers(0, 256, (7, 9, 4), dtype="uint8"))
        for index in range(5)
    ]
    maker = Preprocessor(preprocessor.vocabulary, 6, image_size)
    maker.crop = crop
    pixels, _ = decode_chunk(maker, paths)
    np.testing.assert_array_equal(pixels, expected(maker, paths))


def test_arrays(preprocessor):
    random = np.random.default_rng(2)
    for images in (
        random.integers(0, 256, (3, 4, 4, 3), dtype="uint8"),
        random.integers(0, 256, (3, 9, 5, 3), dtype="uint8"),
        random.uniform(size=(3, 4, 4, 3)),
    ):
        pixels, bad = decode_chunk(preprocessor, images)
        assert not bad
        np.testing.assert_array_equal(pixels, expected(preprocessor, images))


def test_bad_files_are_named_and_the_others_decoded(paths, preprocessor, tmp_path):
    (tmp_path / "empty.png").touch()
    # Whole in its header and end, broken in a table that only decoding reads.
    with open(paths[4], "rb") as file:
        broken = file.read().replace(b"\xff\xdb", b"\xff\xe5")
    (tmp_path / "broken.jpg").write_bytes(broken)
    names = [paths[0], str(tmp_path / "empty.png"), str(tmp_path / "broken.jpg"), paths[1]]
    pixels, bad = decode_chunk(preprocessor, names)
    assert sorted(bad) == [1, 2]
    assert bad[1] == [repr(names[1]), "an empty file"]
    assert bad[2][0] == repr(names[2]) and "\n" not in bad[2][1]
    np.testing.assert_array_equal(pixels[[0, 3]], expected(preprocessor, [paths[0], paths[1]]))


def test_what_a_header_claims_is_checked_before_decoding(paths, preprocessor, monkeypatch):
    body = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    with open(paths[2], "r+b") as file:
        contents = file.read()
        claim = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
        file.seek(0)
        file.write(contents[:8] + claim + contents[33:])
    monkeypatch.setattr(preprocessor, "load_files", None)
    monkeypatch.setattr(preprocessor, "decode_graph", None)
    _, bad = decode_chunk(preprocessor, [paths[2]])
    assert "20000 x 20000 pixels, over the limit" in bad[0][1]
    assert os.path.getsize(paths[2]) < 1000
