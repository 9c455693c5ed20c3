import builtins
import pathlib
import warnings

import pytest
from PIL import Image

from rocmr_keras.data.formats.records import Record
from rocmr_keras.data.formats.screening import screen


def records_of(paths, captions=("a caption",), split="train"):
    return [Record(split, str(path), list(captions)) for path in paths]


def screen_one(path, **options):
    with pytest.warns(UserWarning, match="Skipped what is bad in 1 of 1 records") as caught:
        good, skipped = screen(records_of([path]), max_bad_fraction=1, **options)
    assert good == []
    assert str(path) in str(caught[0].message)
    return skipped["train"]


def test_good_records_pass_in_silence(save):
    records = records_of([save("a.png"), save("b.jpg")])
    assert screen(records) == (records, {"train": []})


@pytest.mark.parametrize(
    "name, contents, reason",
    [
        ("missing.png", None, "no such file"),
        ("empty.jpg", b"", "an empty file"),
        ("text.jpg", b"hello", "not a JPEG, PNG, GIF, BMP or WebP file"),
        ("cut.jpg", b"\xff\xd8\xff\xe0\0\x10JF", "truncated"),
    ],
)
def test_bad_files(tmp_path, name, contents, reason):
    path = tmp_path / name
    if contents is not None:
        path.write_bytes(contents)
    assert screen_one(path) == [f"{path}: {reason}"]


def test_folder_instead_of_file(tmp_path):
    assert screen_one(tmp_path) == [f"{tmp_path}: a folder, not a file"]


def test_no_permission(save, monkeypatch):
    path, real_open = save("secret.png"), builtins.open

    def refuse(file, *arguments, **options):
        if file == path:
            raise PermissionError(13, "Permission denied")
        return real_open(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", refuse)
    assert screen_one(path) == [f"{path}: no permission to read it"]


@pytest.mark.parametrize(
    "captions, faults",
    [
        ([], ["no caption"]),
        ([""], ["a blank caption"]),
        ([" \t\u3000"], ["a blank caption"]),
        (
            [None, 3],
            ["a caption that is no text, but NoneType", "a caption that is no text, but int"],
        ),
    ],
)
def test_without_a_caption(save, captions, faults):
    records = records_of([save("a.png")], captions)
    with pytest.warns(UserWarning, match=faults[0]):
        good, skipped = screen(records, max_bad_fraction=1)
    assert good == []
    assert skipped["train"] == [f"{records[0].path}: {fault}" for fault in faults]


def test_a_blank_caption_goes_alone(save):
    records = records_of([save("a.png")], [" first ", "", "second"])
    with pytest.warns(UserWarning, match="a blank caption"):
        good, _ = screen(records, max_bad_fraction=1)
    assert good[0].captions == ["first", "second"]


def test_share(save, tmp_path):
    good = [save(f"{i}.png") for i in range(9)]
    records = records_of([*good, tmp_path / "none.png"])
    with pytest.warns(UserWarning, match="bad in 1 of 10 records: .*none.png: no such file"):
        kept, skipped = screen(records, max_bad_fraction=0.1)
    assert kept == records[:9] and len(skipped["train"]) == 1
    with pytest.raises(ValueError, match=r"1 bad records of 10: .*none.png: no such file.*raise"):
        screen(records)


def test_long_lists_are_cut(tmp_path):
    records = records_of([tmp_path / f"{i}.png" for i in range(25)])
    with pytest.raises(ValueError, match="25 bad records of 25: .*; and 5 more"):
        screen(records)


def test_rotation_is_kept_and_named(save):
    exif = Image.Exif()
    exif[0x0112] = 6
    records = records_of([save("turned.jpg", exif=exif), save("upright.jpg")])
    with pytest.warns(UserWarning, match="1 images are rotated.*turned.jpg") as caught:
        good, _ = screen(records)
    assert good == records and "upright.jpg" not in str(caught[0].message)


def test_files_need_not_be_opened(tmp_path):
    records = records_of([tmp_path / "none.png"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert screen(records, check_files=False)[0] == records


def test_paths_may_be_of_any_letters(save):
    records = records_of([save("ünï-שלום \U0001f600.png")])
    assert screen(records)[0] == records
    assert pathlib.Path(records[0].path).exists()
