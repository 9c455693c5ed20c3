import pytest

from rocmr_keras.data import load


@pytest.fixture
def write(tmp_path, save):
    save("a.jpg")
    save("b.jpg")

    def write(text, name="made.csv", encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


def test_csv(write):
    path = write('image,caption\na.jpg,"one, quoted"\nb.jpg,two\na.jpg,שלום\n')
    split = load("csv", captions=path)["train"]
    assert split.captions == ["one, quoted", "שלום", "two"]
    assert len(split) == 2


def test_tsv_with_other_columns_and_splits(write, tmp_path):
    path = write("file\ttext\tfold\na.jpg\tone\tdev\nb.jpg\ttwo\ttest\n", "made.tsv")
    columns = {"image_column": "file", "caption_column": "text", "split_column": "fold"}
    splits = load("csv", captions=path, images=tmp_path, **columns)
    assert {name: split.captions for name, split in splits.items()} == {
        "validation": ["one"],
        "test": ["two"],
    }


def test_byte_order_mark_and_delimiter(write):
    path = write("image;caption\r\na.jpg;one\r\n", encoding="utf-8-sig")
    assert load("csv", captions=path, delimiter=";")["train"].captions == ["one"]


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_the_columns_of_open_clip_are_found(write, delimiter):
    path = write("filepath,title\na.jpg,one\n".replace(",", delimiter))
    assert load("csv", captions=path)["train"].captions == ["one"]


def test_a_delimiter_that_is_given_is_not_looked_for(write):
    path = write("image;caption|a;b\na.jpg;one|1\n".replace("|", "\t"))
    with pytest.raises(ValueError, match=r"\('image;caption', 'a;b'\).*`delimiter`"):
        load("csv", captions=path, delimiter="\t")


def test_values_of_several_lines_and_empty_fields_beyond_the_columns(write):
    path = write('image,caption\na.jpg,"one,\n""two"""\nb.jpg,a 5" pipe,,\n')
    assert load("csv", captions=path)["train"].captions == ['one,\n"two"', 'a 5" pipe']


@pytest.mark.parametrize("row", ["b.jpg\n", "b.jpg,\n", ",two\n"])
def test_incomplete_rows(write, row):
    path = write(f"image,caption\na.jpg,one\n{row}")
    with pytest.warns(UserWarning, match="Skipped what is bad in 1 of 2 records"):
        splits = load("csv", captions=path, max_bad_fraction=0.5)
    assert splits["train"].captions == ["one"]


@pytest.mark.parametrize(
    "text, encoding, message",
    [
        ("name,text\n", "utf-8", r"column 'image' or 'filepath'.*\('name', 'text'\)"),
        ("image,text\n", "utf-8", r"column 'caption' or 'title'.*\('image', 'text'\)"),
        ("", "utf-8", r"columns \(\)"),
        ("image,caption\na.jpg,é\n", "latin-1", "CSV in UTF-8.*after line"),
        ("image,caption\na.jpg,one\nb.jpg,a, b\n", "utf-8", "after line 2: ' b' is .* quotes"),
        ('image,caption\na.jpg,one\nb.jpg,"two\nc.jpg,three\n', "utf-8", "line 2: .*not closed"),
        ('image,caption\na.jpg,"one\nb.jpg,"two"\n', "utf-8", "after line 1: .*not closed"),
        ('image,caption\na.jpg,"a" b\n', "utf-8", "after line 1: .*written twice"),
        ('image,caption\na.jpg,"one\nb.jpg,a 5"\n', "utf-8", "b.jpg.*after line 1. Close the"),
        ("image,caption,split\na.jpg,one,x\n", "utf-8", "Received: 'x' in line 2 of .*Rename"),
        ("image,caption,caption\na.jpg,one,two\n", "utf-8", "'caption' 2 times in .*Rename one"),
        ("image,caption\na.jpg," + "x" * 1_000_000, "utf-8", "CSV in UTF-8.*field larger"),
    ],
)
def test_mistakes(write, text, encoding, message):
    path = write(text, encoding=encoding)
    with pytest.raises(ValueError, match=message):
        load("csv", captions=path)
