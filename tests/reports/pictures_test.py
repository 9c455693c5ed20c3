import os
import sys

import numpy as np
import pytest

from rocmr_keras.reports import pictures
from rocmr_keras.reports.pictures.changes import nice_factor
from rocmr_keras.reports.pictures.example_sheet import _mark_changes
from rocmr_keras.reports.pictures.lettering import clean
from rocmr_keras.reports.pictures.lettering import wrap
from rocmr_keras.reports.pictures.retrieval import _query_words

matplotlib = pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

GREEN, PALE, WHITE = (26, 127, 55), (208, 215, 222), (255, 255, 255)
RED = (192, 39, 45)


def image(size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def text_row(**changes):
    row = {
        "query": "a red apple",
        "results": [image(76, seed) for seed in range(5)],
        "scores": [0.9, 0.5, 0.25, 0.0, -0.1],
        "correct": [False, True, False, False, False],
        "rank": 2,
    }
    return {**row, **changes}


def image_row(**changes):
    row = {
        "query": image(8) / 255.0,
        "results": ["a cat", "a dog", "two dogs"],
        "scores": [0.9, 0.5, 0.1],
        "correct": [True, False, True],
        "rank": 1,
    }
    return {**row, **changes}


def example(**changes):
    original = image() / 255.0
    pair = {
        "image": original,
        "adversarial_image": np.clip(original + 4 / 255, 0.0, 1.0).astype("float32"),
        "caption": "the face of a fox",
        "adversarial_caption": "the face of an oil",
    }
    return {**pair, **changes}


def read(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def share(pixels, color):
    return np.mean(np.all(pixels == color, axis=-1))


def ten(row):
    return {**row, **{name: (4 * row[name])[:10] for name in ("results", "scores", "correct")}}


def test_ten_results_are_smaller_or_in_two_columns(tmp_path):
    def height(row):
        pictures.retrieval_sheet(tmp_path / "sheet.png", [row])
        pixels = read(tmp_path / "sheet.png")
        assert share(pixels, GREEN) > 0
        return len(pixels)

    assert height(ten(text_row())) < height(text_row())
    # Five lines instead of three, not ten.
    assert height(image_row()) < height(ten(image_row())) < height(image_row()) + 100


def test_retrieval_sheet_frames_the_right_results(tmp_path):
    path = tmp_path / "new" / "folder" / "sheet.png"
    pictures.retrieval_sheet(path, [text_row()], title="First five")
    pixels = read(path)
    assert pixels.shape[1] == 1200 and 200 < pixels.shape[0] < 400
    middle = pixels.shape[0] // 2
    left_edges = [252 + 164 * place for place in range(5)]
    frames = [pixels[middle, edge - 4 : edge] for edge in left_edges]
    assert [share(frame, GREEN) > 0.7 for frame in frames] == [False, True, False, False, False]
    assert [share(frame, PALE) > 0.2 for frame in frames] == [True, False, True, True, True]
    assert os.listdir(path.parent) == ["sheet.png"]


def test_attacked_queries_have_two_ranks_and_marked_words(tmp_path):
    attacked = {"label": "rocmr, attacked", "rank_before": 1}
    pictures.retrieval_sheet(tmp_path / "plain.png", [text_row(query="a red apple")])
    row = text_row(query="a rod apple", query_before="a red apple", **attacked)
    pictures.retrieval_sheet(tmp_path / "sheet.png", [row, image_row(**attacked)])
    changed, plain = read(tmp_path / "sheet.png"), read(tmp_path / "plain.png")
    query = slice(28, 240)
    assert share(changed[:150, query], RED) > share(plain[:150, query], RED) == 0.0
    words = [(word, color is None) for word, color in _query_words(row)]
    assert words == [("“a", True), ("[rod]", False), ("apple”", True)]


def test_small_images_keep_their_own_pixels(tmp_path):
    row = text_row(correct=[False] * 5, rank=17)
    pictures.retrieval_sheet(tmp_path / "sheet.png", [row])
    pixels = read(tmp_path / "sheet.png")
    enlarged = row["results"][3].repeat(2, axis=0).repeat(2, axis=1)
    left = 252 + 3 * 164
    starts = range(pixels.shape[0] - 152)
    assert any(np.array_equal(pixels[y : y + 152, left : left + 152], enlarged) for y in starts)


def test_long_captions_make_the_row_higher_and_stay_inside(tmp_path):
    heights = []
    for caption in ("a dog", "a very long caption " * 30, "x" * 1000):
        row = image_row(results=[caption] * 5, scores=[0.5] * 5, correct=[False] * 5)
        pictures.retrieval_sheet(tmp_path / "sheet.png", [row, text_row(query=caption)])
        pixels = read(tmp_path / "sheet.png")
        heights.append(pixels.shape[0])
        assert np.all(pixels[:, :20] == 255) and np.all(pixels[:, -20:] == 255)
        # Between the captions' frames and the ranks, and between the query and the results.
        for gap in (slice(228, 246), slice(1066, 1076)):
            outside = np.all(pixels[:, gap] == WHITE, axis=-1) | np.all(
                pixels[:, gap] == PALE, axis=-1
            )
            assert outside.all()
    assert heights[0] < heights[1] == heights[2]


@pytest.mark.parametrize("size", [(1, 1), (40, 90), (300, 200), (7, 500)])
def test_images_of_any_shape(tmp_path, size):
    wide = np.zeros((*size, 3), "uint8")
    pictures.retrieval_sheet(tmp_path / "sheet.png", [image_row(query=wide)])
    assert read(tmp_path / "sheet.png").shape[1] == 1200


def test_characters_the_font_lacks(tmp_path):
    strange = "fox \U0001f98a\u200d\ufe0f $x_1^$ \\frac \n\t\x00 中文 \ud800 ก"
    captions = image_row(results=[strange] * 3)
    pictures.retrieval_sheet(tmp_path / "a.png", [text_row(query=strange), captions], strange)
    pair = example(adversarial_caption=strange, retrieved_caption=strange)
    pictures.adversarial_examples(tmp_path / "b.png", [pair], title=strange)
    curves = {strange: {"epsilon": [0.0], "recall": [0.5]}}
    pictures.recall_against_epsilon(tmp_path / "c.png", curves, strange, metric=strange)
    assert clean(strange) == "fox ▯ $x_1^$ \\frac     ▯▯ ▯ ▯"


def test_changed_words_are_marked_in_both_captions():
    before, after = _mark_changes("the face of a fox", "the face of an oil drum")
    assert [text for text, _ in before] == ["the", "face", "of", "[a]", "[fox]"]
    assert [text for text, _ in after] == ["the", "face", "of", "[an]", "[oil]", "[drum]"]
    assert [color is None for _, color in after] == [True, True, True, False, False, False]
    before, after = _mark_changes("one two three", "one three")
    assert [text for text, _ in before] == ["one", "[two]", "three"]
    assert after == [("one", None), ("three", None)]


def test_lines_fit_and_lose_no_word():
    def measure(word):
        return 3 * len(word[0])

    def lines_of(text, max_lines):
        words = [(word, None) for word in text.split()]
        lines = wrap(words, 18, measure, 3, max_lines)
        return [" ".join(piece for piece, _ in line) for line in lines]

    text = "a bb ccc dddd eeeeeeeeeee f"
    assert lines_of(text, 6) == ["a bb", "ccc", "dddd", "eeeeee", "eeeee", "f"]
    assert lines_of(text, 2) == ["a bb", "ccc …"]
    assert lines_of("x" * 20, 1) == ["xxxx …"]
    assert lines_of("", 1) == [""]


@pytest.mark.parametrize(
    "largest, factor", [(4 / 255, 30.0), (8 / 255, 15.0), (0.5, 1.0), (1.0, 0.5), (0.0, 1.0)]
)
def test_the_difference_is_magnified_by_a_round_factor(largest, factor):
    assert nice_factor(largest) == pytest.approx(factor)


def test_adversarial_examples_centre_the_difference_at_gray(tmp_path):
    path = tmp_path / "examples.png"
    dark = np.full((8, 8, 3), 0.25, "float32")
    bright = dark.copy()
    bright[:, 4:] += 4 / 255
    bright[:, :2] -= 2 / 255
    pictures.adversarial_examples(path, [example(image=dark, adversarial_image=bright)], "Pair")
    pixels = read(path)
    assert pixels.shape[1] == 1200
    row = pixels[pixels.shape[0] // 2, 28 + 416 : 28 + 416 + 192, 0]
    expected = [0.5 - 30 * 2 / 255, 0.5, 0.5 + 30 * 4 / 255]
    np.testing.assert_allclose(row[[10, 70, 150]] / 255, expected, atol=0.005)


def test_adversarial_examples_with_all_and_without_optional_entries(tmp_path):
    full = example(
        image_rank=(1, 37),
        text_rank=[np.int64(3), np.int64(2000)],
        retrieved_caption="a can of oil",
        retrieved_image=image(),
    )
    pictures.adversarial_examples(tmp_path / "full.png", [full])
    pictures.adversarial_examples(tmp_path / "plain.png", [example(image_rank=None)])
    assert read(tmp_path / "full.png").shape[0] > read(tmp_path / "plain.png").shape[0]


def test_equal_images_have_no_difference(tmp_path):
    pair = example(adversarial_image=example()["image"])
    pictures.adversarial_examples(tmp_path / "same.png", [pair])
    assert read(tmp_path / "same.png").shape[1] == 1200


def test_recall_against_epsilon(tmp_path):
    curves = {
        f"model {index} with a long name that has to be folded": {
            "epsilon": np.array([8, 0, 2]) / 255,
            "recall": [0.01 * index, 1.0, 0.5],
        }
        for index in range(7)
    }
    pictures.recall_against_epsilon(tmp_path / "a.png", curves, title="word " * 40, chance=0.01)
    assert read(tmp_path / "a.png").shape == (675, 1200, 3)
    many = {"one": {"epsilon": np.linspace(0, 0.1, 200), "recall": np.linspace(1, 0, 200)}}
    pictures.recall_against_epsilon(tmp_path / "b.png", many)
    assert read(tmp_path / "b.png").shape == (675, 1200, 3)


def test_same_input_same_file_and_settings_untouched(tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a.png", "b.png"):
        pictures.retrieval_sheet(tmp_path / name, [text_row(), image_row()], title="T")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pictures.recall_against_epsilon(tmp_path / "c.png", {"a": {"epsilon": [0], "recall": [0]}})
    assert dict(matplotlib.rcParams) == before


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def fail(self, file, **kwargs):
        file.write(b"half")
        raise OSError("disk full")

    (tmp_path / "sheet.png").write_bytes(b"old")
    monkeypatch.setattr(FigureCanvasAgg, "print_png", fail)
    with pytest.raises(OSError, match="disk full"):
        pictures.retrieval_sheet(tmp_path / "sheet.png", [text_row()])
    assert os.listdir(tmp_path) == ["sheet.png"]
    assert (tmp_path / "sheet.png").read_bytes() == b"old"


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "rocmr-keras\[pictures\]"'):
        pictures.retrieval_sheet(tmp_path / "sheet.png", [text_row()])


@pytest.mark.parametrize(
    "rows, message",
    [
        ([], "`rows` must be a non-empty list.*Received: list"),
        ("abc", "`rows` must be a non-empty list.*Received: str"),
        ([{"query": "a"}], r"`rows\[0\]` must be a dict.*missing keys \['correct', 'rank'"),
        ([text_row(eps=1)], r"unknown keys \['eps'\]"),
        ([text_row(scores=[1.0])], "Received: 5 results, 1 scores"),
        ([text_row(results=[])], "Received: 0 results"),
        ([text_row(results=11 * ["a"])], "have 1 to 10 results .* Received: 11 results"),
        ([text_row(rank_before=0)], r"`rows\[0\]\['rank_before'\]` must be a positive integer"),
        ([text_row(rank=0)], r"`rows\[0\]\['rank'\]` must be a positive integer. Received: 0"),
        ([text_row(query=np.zeros((4, 4)))], r"\['query'\]` must be an array.*shape \(4, 4\)"),
        ([text_row(query=np.full((4, 4, 3), 9.0))], "float in .*values 9.0 to 9.0"),
        ([text_row(query=np.full((4, 4, 3), np.nan))], "values nan to nan"),
        ([image_row(results=["a", image(), "b"])], "all images or all strings"),
    ],
)
def test_bad_rows(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        pictures.retrieval_sheet(tmp_path / "sheet.png", rows)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"adversarial_image": image(9)}, r"must have one shape. Received: \(8, 8, 3\) and \(9"),
        ({"image_rank": 3}, r"\['image_rank'\]` must be the ranks before and after"),
        ({"text_rank": (1, 2.5)}, r"\['text_rank'\]` must be a positive integer. Received: 2.5"),
        ({"caption": [1, 2]}, r"\['caption'\]` must be a string. Received: \[1, 2\]"),
        ({"retrieved_image": "fox"}, r"\['retrieved_image'\]` must be an array"),
    ],
)
def test_bad_examples(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        pictures.adversarial_examples(tmp_path / "examples.png", [example(**changes)])


@pytest.mark.parametrize(
    "curves, chance, message",
    [
        ({}, None, "`curves` must be a dict of 1 to 7 curves. Received: dict"),
        ({"a": {"epsilon": [0]}}, None, r"missing keys \['recall'\]"),
        ({"a": {"epsilon": [0, 1], "recall": [1]}}, None, "as many epsilons as recalls"),
        ({"a": {"epsilon": [4.0], "recall": [1]}}, None, r"all in \[0, 1\]. Received: epsilon"),
        ({"a": {"epsilon": [0], "recall": [np.nan]}}, None, "as many epsilons as recalls"),
        ({"a": {"epsilon": [0], "recall": [1]}}, 20, "`chance` must be .* Received: chance=20"),
    ],
)
def test_bad_curves(tmp_path, curves, chance, message):
    with pytest.raises(ValueError, match=message):
        pictures.recall_against_epsilon(tmp_path / "recall.png", curves, chance=chance)


def test_the_name_must_end_in_png(tmp_path):
    with pytest.raises(ValueError, match="`path` must end in '.png'. Received: path="):
        pictures.retrieval_sheet(tmp_path / "sheet.jpg", [text_row()])


MATRIX = {
    "names": ["standard", "rocmr"],
    "recall": np.array([[0.02, 0.4], [0.3, 0.15]]),
    "clean_recall": np.array([0.5, 0.45]),
}


def test_transfer_matrix_is_darker_where_more_is_left(tmp_path):
    path = tmp_path / "matrix.png"
    pictures.transfer_heat_map(path, MATRIX, title="PGD, 4/255")
    pixels = read(path)
    blue = (pixels[..., 2] > pixels[..., 0] + 60).mean()
    empty = {**MATRIX, "recall": np.zeros((2, 2)), "clean_recall": np.zeros(2)}
    pictures.transfer_heat_map(path, empty)
    assert blue > 0.1 > (read(path)[..., 2] > read(path)[..., 0] + 60).mean()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"names": ["one"]}, "a recall in .* for each pair of names. Received: 1 names"),
        ({"recall": np.full((2, 2), 40.0)}, "Write fractions, not percents"),
        ({"clean_recall": np.array([np.nan, 0.1])}, "Received: 2 names"),
    ],
)
def test_wrong_transfer_matrix(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pictures.transfer_heat_map(tmp_path / "matrix.png", {**MATRIX, **changes})
    with pytest.raises(ValueError, match="Received: no .'recall'"):
        matrix = {key: value for key, value in MATRIX.items() if key != "recall"}
        pictures.transfer_heat_map(tmp_path / "matrix.png", matrix)


def test_recall_against_radius(tmp_path):
    curves = {"rocmr": {"radius": [0.0, 0.25, 0.5], "recall": [0.4, 0.2, 0.0]}}
    pictures.recall_against_radius(tmp_path / "a.png", curves, title="word " * 40)
    assert read(tmp_path / "a.png").shape == (675, 1200, 3)
    for radius, recall in (([0.5, 0.0], [1, 1]), ([0.0], [1, 1]), ([0.0], [1.5]), ([-1.0], [0])):
        with pytest.raises(ValueError, match="ascending radii from 0 on .* Received: radius="):
            curves = {"a": {"radius": radius, "recall": recall}}
            pictures.recall_against_radius(tmp_path / "b.png", curves)
    with pytest.raises(ValueError, match="`curves` must be a dict of 1 to 7 curves"):
        pictures.recall_against_radius(tmp_path / "b.png", {})
