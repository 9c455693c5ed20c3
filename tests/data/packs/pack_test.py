import pathlib

import numpy as np
import pytest

from rocmr_keras.data import PackedSplit
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.data import open_pack
from rocmr_keras.data import pack
from rocmr_keras.data.packs import pack as pack_module


def assert_same(first, second):
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.image_ids, second.image_ids)
    np.testing.assert_array_equal(first.caption_image_ids, second.caption_image_ids)
    assert first.captions == second.captions and first.name == second.name
    assert first.fingerprint == second.fingerprint and first.skipped == second.skipped
    for name in ("token_ids", "padding_mask"):
        np.testing.assert_array_equal(first.tokens[name], second.tokens[name])
        assert first.tokens[name].dtype == second.tokens[name].dtype


def test_pixels_and_tokens_are_those_of_the_preprocessor(files, preprocessor):
    packed = pack(files, preprocessor)
    assert isinstance(packed, PackedSplit) and packed.images.dtype == np.uint8
    np.testing.assert_array_equal(
        preprocessor.load_images(packed.images), preprocessor.load_images(files.images)
    )
    tokens = preprocessor.tokenize(files.captions)
    for name, rows in tokens.items():
        np.testing.assert_array_equal(packed.tokens[name], rows)
        assert packed.tokens[name].dtype == rows.dtype
    assert pack(packed, preprocessor) is packed


def test_a_folder_is_written_once_and_mapped(files, preprocessor, tmp_path, decoded):
    packed = pack(files, preprocessor, tmp_path / "pack")
    assert isinstance(packed.images, np.memmap) and sum(decoded) == 9
    for again in (
        open_pack(tmp_path / "pack"),
        pack(files, preprocessor, tmp_path / "pack"),
        pack(files, preprocessor),
    ):
        assert_same(again, packed)
    assert sum(decoded) == 18
    names = {path.name for path in (tmp_path / "pack").iterdir()}
    assert "pack.json" in names and not names & {"job.json", "decoded"}
    assert not list(tmp_path.glob(".*"))


def test_captions_that_utf8_cannot_hold(files, preprocessor, tmp_path):
    files.captions[0] = "\ud83d red"
    packed = pack(files, preprocessor, tmp_path / "pack")
    assert packed.captions == files.captions
    assert preprocessor.detokenize(packed.tokens["token_ids"])[0] == "[UNK] red"


def test_a_killed_run_goes_on(files, preprocessor, tmp_path, decoded, monkeypatch):
    count = pack_module.decode_chunk

    def killed(preprocessor, images):
        if images == files.images[6:8]:
            raise KeyboardInterrupt
        return count(preprocessor, images)

    monkeypatch.setattr(pack_module, "decode_chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(files, preprocessor, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
    before = sum(decoded)
    assert before >= 2
    monkeypatch.setattr(pack_module, "decode_chunk", count)
    packed = pack(files, preprocessor, tmp_path / "pack")
    assert sum(decoded) == 9
    assert_same(packed, pack(files, preprocessor))


def test_what_was_begun_for_other_images_is_not_gone_on_with(
    files, preprocessor, tmp_path, decoded
):
    pathlib.Path(files.images[8]).write_bytes(b"gone")
    with pytest.raises(ValueError, match="alpha.webp': not a JPEG"):
        pack(files, preprocessor, tmp_path / "pack")
    decoded.clear()
    # The folder is free for the eight that can be read.
    packed = pack(files.take(range(8)), preprocessor, tmp_path / "pack")
    assert len(packed) == sum(decoded) == 8


@pytest.mark.parametrize("change", ["caption", "id", "file", "size", "vocabulary"])
def test_a_folder_of_something_else_is_refused(files, preprocessor, tmp_path, save, change):
    pack(files, preprocessor, tmp_path / "pack")
    what = "other images or captions"
    if change == "caption":
        files.captions[1] += "!"
    elif change == "id":
        files.image_ids[2] = files.caption_image_ids[2] = 77
    elif change == "file":
        save("rgb.png", colour="blue")
    else:
        what = "another preprocessor"
        pieces, size = preprocessor.vocabulary, preprocessor.image_size
        if change == "size":
            preprocessor = Preprocessor(pieces, 6, (4, 6))
        else:
            preprocessor = Preprocessor([*pieces, "banana"], 6, size)
    with pytest.raises(ValueError, match=f"`folder` must be new.*the pack of {what}. Remove it"):
        pack(files, preprocessor, tmp_path / "pack")


def test_what_was_begun_in_other_chunks_is_not_gone_on_with(
    files, preprocessor, tmp_path, decoded, monkeypatch
):
    count = pack_module.decode_chunk

    def killed(preprocessor, images):
        if sum(decoded) >= 4:
            raise KeyboardInterrupt
        return count(preprocessor, images)

    monkeypatch.setattr(pack_module, "decode_chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(files, preprocessor, tmp_path / "pack")
    decoded.clear()
    monkeypatch.setattr(pack_module, "decode_chunk", count)
    monkeypatch.setattr(pack_module, "CHUNK", 4)
    packed = pack(files, preprocessor, tmp_path / "pack")
    assert sum(decoded) == 9
    assert_same(packed, pack(files, preprocessor))


@pytest.mark.parametrize("spell", ["dots", "file link", "folder link", "link of links"])
def test_a_file_is_the_same_by_whatever_way_it_is_reached(files, preprocessor, tmp_path, spell):
    expected = pack(files, preprocessor).fingerprint
    path = pathlib.Path(files.images[4])
    (tmp_path / "here").symlink_to(path.parent)
    (tmp_path / "file").symlink_to(path)
    (tmp_path / "again").symlink_to(tmp_path / "here" / "file")
    files.images[4] = {
        "dots": f"{path.parent}/./../{path.parent.name}/{path.name}",
        "file link": str(tmp_path / "file"),
        "folder link": str(tmp_path / "here" / path.name),
        "link of links": str(tmp_path / "again"),
    }[spell]
    assert pack(files, preprocessor).fingerprint == expected
    (tmp_path / "other.jpg").write_bytes(path.read_bytes())
    files.images[4] = str(tmp_path / "other.jpg")
    assert pack(files, preprocessor).fingerprint != expected


def test_a_folder_with_other_things_in_it_is_refused(files, preprocessor, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="holds other things"):
        pack(files, preprocessor, tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    assert len(pack(files, preprocessor, tmp_path / "empty")) == 9


def test_large_splits_go_to_the_cache(files, preprocessor, tmp_path, monkeypatch, capsys, decoded):
    monkeypatch.setattr(pack_module, "_MEMORY_LIMIT", 4 * 4 * 3 * 9)
    monkeypatch.setenv("ROCMR_KERAS_CACHE", str(tmp_path / "cache"))
    packed = pack(files, preprocessor)
    folder = tmp_path / "cache" / "packs" / packed.fingerprint
    assert isinstance(packed.images, np.memmap) and (folder / "pack.json").exists()
    assert str(folder) in capsys.readouterr().out
    assert_same(pack(files, preprocessor, verbose=0), packed)
    assert sum(decoded) == 9 and not capsys.readouterr().out
    monkeypatch.setattr(pack_module, "_MEMORY_LIMIT", 4 * 4 * 3 * 9 + 1)
    assert not isinstance(pack(files, preprocessor).images, np.memmap)


def test_pixels_of_the_right_size_are_not_copied(preprocessor, monkeypatch, tmp_path):
    monkeypatch.setattr(pack_module, "_MEMORY_LIMIT", 0)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype="uint8")
    split = Split(pixels, range(3), ["red"] * 3, range(3))
    packed = pack(split, preprocessor)
    assert packed.images is pixels
    # On disk they are copies, which a hash tells apart.
    pack(split, preprocessor, tmp_path / "pack")
    changed = Split(255 - pixels, range(3), ["red"] * 3, range(3))
    with pytest.raises(ValueError, match="the pack of other images"):
        pack(changed, preprocessor, tmp_path / "pack")


def break_two(files):
    for index in (1, 6):
        pathlib.Path(files.images[index]).write_bytes(b"gone")


def test_a_bad_image_stops_it_with_its_name(files, preprocessor, tmp_path):
    break_two(files)
    for folder in (None, tmp_path / "pack"):
        with pytest.raises(ValueError, match="Received: '.*gray_alpha.png': not a JPEG.*Replace"):
            pack(files, preprocessor, folder)


@pytest.mark.parametrize("on_disk", [True, False])
def test_some_may_be_bad(files, preprocessor, tmp_path, on_disk, decoded):
    break_two(files)
    # The other image of this caption stays, and so does the caption.
    files.image_ids[1] = files.image_ids[0]
    files.caption_image_ids[1] = files.image_ids[0]
    folder = tmp_path / "pack" if on_disk else None
    with pytest.warns(UserWarning, match="Left out 2 bad of 9 images: '.*gray_alpha.png': not a"):
        packed = pack(files, preprocessor, folder, max_bad_fraction=0.3)
    good = [0, 2, 3, 4, 5, 7, 8]
    assert len(packed) == 7 and len(packed.captions) == 8
    assert [line.split("'")[1] for line in packed.skipped["bad images"]] == [
        files.images[1],
        files.images[6],
    ]
    rest = pack(files.take(good), preprocessor)
    np.testing.assert_array_equal(packed.images, rest.images)
    np.testing.assert_array_equal(packed.image_ids, rest.image_ids)
    np.testing.assert_array_equal(packed.tokens["token_ids"], rest.tokens["token_ids"])
    with pytest.raises(ValueError, match="At most a share of 0.1.*Received: . bad of 9.*Repair"):
        pack(files, preprocessor, folder, max_bad_fraction=0.1)
    with pytest.raises(ValueError, match="gray_alpha.png"):
        pack(files, preprocessor, folder)
