"""What must hold for any input, looked for in inputs that nobody thought of.

The same few inputs each time; `PROPERTY_EXAMPLES=2000` looks at as many others.
"""

import csv
import io
import json
import os
import pathlib
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops
from PIL import Image

import rocmr_keras as rk
from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import RandomCharacterEdits
from rocmr_keras.attacks import RandomHumanEdits
from rocmr_keras.data.images import UnreadableImage
from rocmr_keras.data.images import read_image

COUNT = int(os.environ.get("PROPERTY_EXAMPLES", 0))


def examples(count):
    """Settings of one property, which tries so many inputs."""
    return settings(
        max_examples=COUNT or count, derandomize=not COUNT, deadline=None, database=None
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NOT_BLANK = TEXTS.filter(str.strip)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=True)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def load(name, content, suffix, **options):
    """Loads what is in one file; returns the captions by split and file, or `None`."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = pathlib.Path(folder, f"made_test{suffix}")
        path.write_bytes(content)
        options = {"images": "x", "check_files": False, "max_bad_fraction": 1.0, **options}
        try:
            splits = rk.data.load(name, captions=path, **options)
        except ValueError as error:
            assert "Received" in str(error)
            return None
    return {
        (split, os.path.basename(path)): found.captions_of(image_id)
        for split, found in splits.items()
        for path, image_id in zip(found.images, found.image_ids)
    }


@examples(40)
@given(st.lists(NOT_BLANK, min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_what_a_table_holds_is_read(captions, delimiter):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([["image", "caption"], *([f"{i}.jpg", c] for i, c in enumerate(captions))])
    found = load("csv", file.getvalue().encode(), ".csv", delimiter=delimiter)
    assert found == {("train", f"{i}.jpg"): [c.strip()] for i, c in enumerate(captions)}


@examples(40)
@given(st.text('ab,;"\t\n\r.jpg', max_size=30) | st.binary(max_size=30).map(str))
def test_no_table_falls_through(text):
    found = load("csv", f"image,caption\n{text}".encode(), ".csv")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        rows = [["a quote", "that is", "not closed"]]
    if any("".join(row[2:]).strip() for row in rows):
        assert found is None
    elif found is not None:
        assert sum(map(len, found.values())) == sum("".join(row[1:2]).strip() != "" for row in rows)


@examples(40)
@given(st.binary(max_size=40), st.sampled_from(["csv", "flickr_tokens", "coco", "albef"]))
def test_no_bytes_fall_through(content, name):
    load(name, content, ".txt")


FIELDS = {
    "karpathy": ("images", "filename", "filepath", "split", "sentences", "raw"),
    "coco": ("images", "annotations", "id", "image_id", "file_name", "caption"),
    "albef": ("image", "caption"),
}


@st.composite
def look_alikes(draw):
    """A file of a format in which any value may be another."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    entry = draw(st.fixed_dictionaries({}, optional={key: JSON for key in FIELDS[name]}))
    if name == "albef":
        return name, draw(st.sampled_from([[entry], entry]))
    whole = {**entry, "images": draw(st.sampled_from([[entry], entry, None]))}
    if name == "karpathy":
        right = {"filename": "a.jpg", "split": "test", "sentences": [entry]}
        whole["images"] = draw(st.sampled_from([[entry], [{**right, **entry}], [right]]))
    return name, draw(st.sampled_from([whole, {**whole, "annotations": [entry]}]))


@examples(60)
@given(look_alikes())
def test_no_json_falls_through(made):
    name, content = made
    load(name, json.dumps(content).encode(), ".json")


IDS = st.integers() | st.text(max_size=3) | st.tuples(st.integers(0, 2), st.booleans())


@examples(40)
@given(st.lists(IDS, min_size=1, max_size=8), st.data())
def test_ids_of_a_split(ids, data):
    image_ids = data.draw(st.permutations(ids))
    captions = [str(place) for place in range(len(ids))]
    split = rk.data.Split([f"{i}.jpg" for i in range(len(ids))], image_ids, captions, ids)
    kept = data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=1, unique=True))
    part = split.take(kept)
    for place, image_id in zip(kept, part.image_ids):
        expected = [c for c, each in zip(captions, ids) if each == image_ids[place]]
        assert part.captions_of(image_id) == expected
    assert part.images == [f"{i}.jpg" for i in kept]


@examples(40)
@given(st.data())
def test_ranks(data):
    """Whole numbers: many ties, and exact products."""
    number = st.integers(-2, 2)
    width = data.draw(st.integers(1, 3))
    rows = st.lists(st.lists(number, min_size=width, max_size=width), min_size=1, max_size=7)
    queries, items = (np.array(data.draw(rows), "float32") for _ in range(2))
    ids = st.integers(0, 2)
    item_ids = np.array(data.draw(st.lists(ids, min_size=len(items), max_size=len(items))))
    query_ids = np.array([data.draw(st.sampled_from(item_ids.tolist())) for _ in queries])
    scores = queries @ items.T
    right = query_ids[:, None] == item_ids
    best = np.where(right, scores, -np.inf).max(axis=1)
    expected = 1 + (~right & (scores >= best[:, None])).sum(axis=1)
    size = data.draw(st.integers(1, 8))
    found = rk.metrics.query_ranks(queries, items, query_ids, item_ids, block_size=size)
    np.testing.assert_array_equal(found, expected)


@examples(12)
@given(
    st.floats(0, 1),
    st.integers(1, 3),
    st.sampled_from(["linf", "l2"]),
    st.booleans(),
    st.none() | st.floats(1e-3, 2),
)
def test_budgets_of_images(epsilon, num_steps, norm, keep_best, step_size):
    options = {"norm": norm, "keep_best": keep_best, "step_size": step_size, "seed": 0}
    clean = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 3, 3, 3)).clip(0, 1).astype("float32")
    attack = rk.attacks.PGD(epsilon, num_steps, **options)
    found = ops.convert_to_numpy(attack(clean, loss_fn=lambda x: ops.sum(x**3, axis=(1, 2, 3))))
    assert found.min() >= 0 and found.max() <= 1
    order = {"linf": np.inf, "l2": 2}[norm]
    moved = (found - clean.astype("float64")).reshape(2, -1)
    assert np.linalg.norm(moved, order, axis=1).max() <= epsilon + 2e-7


def score(strings, owners=None):
    """Without any pattern, the same in every process."""
    return np.array([sum(ord(c) * (i + 7) % 101 for i, c in enumerate(s)) for s in strings])


@examples(40)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 9))
def test_budgets_of_characters(captions, num_edits, seed):
    for kind in (CharacterEdits, RandomCharacterEdits):
        found = kind(num_edits, seed=seed)(captions, score)
        for before, after in zip(captions, found, strict=True):
            assert rk.metrics.edit_distance(before, after) <= num_edits
            assert after == before or after.strip()


@examples(40)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 9))
def test_edits_of_people(captions, num_edits, seed):
    for kind in (HumanEdits, RandomHumanEdits):
        found = kind(num_edits, seed=seed)(captions, score)
        for before, after in zip(captions, found, strict=True):
            # Each edit touches at most two words, which stand side by side.
            words = before.split(), after.split()
            assert rk.metrics.edit_distance(*words) <= 2 * num_edits
            assert after == before or after.strip()


@pytest.fixture(scope="module")
def files():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype="uint8")
    kinds = [("png", "RGBA"), ("png", "P"), ("gif", "RGBA"), ("bmp", "P"), ("bmp", "RGB")]
    kinds += [("jpeg", "RGB"), ("webp", "RGBA")]
    found = []
    for kind, mode in kinds:
        file = io.BytesIO()
        Image.fromarray(pixels).convert("RGB" if mode == "P" else mode).convert(mode).save(
            file, kind
        )
        found.append(file.getvalue())
    return found


@examples(30)
@given(st.data())
def test_damaged_images(files, data):
    content = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_image(bytes(content))
    except UnreadableImage:
        return
    assert found.dtype == np.uint8 and found.shape[2] == 3 and found.size


@examples(30)
@given(st.lists(TEXTS, max_size=4))
def test_texts_become_tokens(colour_preprocessor, texts):
    tokens = colour_preprocessor.tokenize(texts)
    assert tokens["token_ids"].shape == (len(texts), 6)
    assert tokens["padding_mask"].any(axis=1).all()
    assert ((tokens["token_ids"] > 0) == tokens["padding_mask"]).all()
