import pytest

from rocmr_keras.data import load


@pytest.fixture
def given(tmp_path, save):
    lines = []
    for name in ("a.jpg", "b.jpg", "c#1.jpg"):
        save(f"images/{name}")
        lines += [f"{name}#{n}\tCaption {n} of {name} ." for n in range(2)]
    (tmp_path / "made.token.txt").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return {"captions": tmp_path / "made.token.txt", "images": tmp_path / "images"}


def test_all_is_for_training(given):
    splits = load("flickr_tokens", **given)
    assert list(splits) == ["train"] and len(splits["train"]) == 3
    assert splits["train"].captions[:2] == ["Caption 0 of a.jpg .", "Caption 1 of a.jpg ."]
    assert splits["train"].images[2].endswith("c#1.jpg")


def test_lists_of_files(given, tmp_path):
    (tmp_path / "made.trainImages.txt").write_text("b.jpg \n")
    (tmp_path / "made.devImages.txt").write_text("a.jpg\n")
    lists = [tmp_path / "made.trainImages.txt", tmp_path / "made.devImages.txt"]
    splits = load("flickr_tokens", splits=lists, **given)
    assert {name: len(split) for name, split in splits.items()} == {"train": 1, "validation": 1}
    assert splits["train"].images[0].endswith("b.jpg")


def test_listed_image_without_captions(given, tmp_path):
    (tmp_path / "test.txt").write_text("a.jpg\nnew.jpg\n")
    with pytest.warns(UserWarning, match="new.jpg: no such file"):
        splits = load("flickr_tokens", splits=tmp_path / "test.txt", max_bad_fraction=0.5, **given)
    assert len(splits["test"]) == 1


@pytest.mark.parametrize("line", ["a.jpg a caption", "a.jpg\ta caption", "a.jpg#x\ta caption"])
def test_other_formats_are_told(given, line):
    given["captions"].write_text(f"a.jpg#0\tfine\n{line}\n")
    with pytest.raises(ValueError, match="name.jpg#0<TAB>caption.*line 2 of '.*made.token.txt'"):
        load("flickr_tokens", **given)
