"""The artefact by itself: all questions are put to one process without Keras."""

import io
import struct
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

TEXTS = ["a red square", "", "A  RED", "something é", "שלום עולם", "\0", "red " * 100_000]
# A question mark for each broken byte.
BROKEN = [b"\xed\xa0\xbd red", b"red \xff\xfe", b"\xc3"]
KINDS = ("jpeg", "png", "gif", "bmp", "webp")


def strings(*values):
    return np.array(values, dtype=object)


def encode(kind, seed=0, size=(20, 30), **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def huge_png(width=20_000, height=20_000):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + checksum + encode("png")[33:]


def huge_gif():
    """The screen is one pixel, the picture is not."""
    contents = bytearray(encode("gif"))
    place = contents.index(b",\0\0\0\0")
    contents[6:10] = struct.pack("<HH", 1, 1)
    contents[place + 5 : place + 9] = struct.pack("<HH", 20_000, 20_000)
    return bytes(contents)


def animated(kind):
    frames = [Image.open(io.BytesIO(encode("png", seed))) for seed in (0, 1, 2)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


IMAGES = [encode(kind, seed) for seed, kind in enumerate(KINDS)]
BAD_IMAGES = {
    "empty": (b"", "is empty"),
    "garbage": (b"garbage" * 20, "is not a JPEG, PNG, GIF, BMP or still WebP"),
    "one byte": (b"\x89", "is not a JPEG"),
    "magic of JPEG": (b"\xff\xd8\xff", "is corrupt or truncated"),
    "magic of PNG": (b"\x89PNG\r\n\x1a\n", "claims too many pixels, or none"),
    "magic of GIF": (b"GIF89a", "is corrupt or truncated"),
    "magic of WebP": (b"RIFF\0\0\0\0WEBPVP8 ", "claims too many pixels, or none"),
    "truncated JPEG": (encode("jpeg")[:-50], "is corrupt or truncated"),
    "truncated PNG": (encode("png")[:-50], "is corrupt or truncated"),
    "truncated GIF": (encode("gif")[:-50], "is corrupt or truncated"),
    "huge PNG": (huge_png(), "claims too many pixels"),
    "huge sides": (huge_png(2**31, 2**31), "claims too many pixels"),
    "huge GIF": (huge_gif(), "claims too many pixels"),
    "animated WebP": (animated("webp"), "is not a JPEG, PNG, GIF, BMP or still WebP"),
}
PIXELS = np.random.default_rng(5).random((3, 8, 12, 3), dtype="float32")
IDS = {
    "token_ids": np.array([[2, 5, 3, 0, 0, 0], [2, 3, 0, 0, 0, 0]], "int32"),
    "padding_mask": np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], bool),
}
K = np.int32(5)
CALLS = {
    "texts": ("embed_texts", {"texts": strings(*TEXTS)}),
    "broken": ("embed_texts", {"texts": strings(*BROKEN)}),
    "default": ("serving_default", {"texts": strings("a red square")}),
    "images": ("embed_images", {"images": strings(*IMAGES)}),
    "animated": ("embed_images", {"images": strings(animated("gif"), encode("gif"))}),
    "pixels": ("embed_pixels", {"pixels": PIXELS}),
    "ids": ("embed_token_ids", IDS),
    "no texts": ("embed_texts", {"texts": strings()}),
    "no images": ("embed_images", {"images": strings()}),
    "no pixels": ("embed_pixels", {"pixels": PIXELS[:0]}),
    "no ids": ("embed_token_ids", {name: value[:0] for name, value in IDS.items()}),
    "search": ("search_by_text", {"texts": strings(*TEXTS[:5]), "k": K}),
    "k of one": ("search_by_text", {"texts": strings(*TEXTS[:5]), "k": np.array([5], "int32")}),
    "k for each": ("search_by_text", {"texts": strings(*TEXTS[:5]), "k": np.full(5, 5, "int32")}),
    "all": ("search_by_image", {"images": strings(*IMAGES), "k": np.int32(1000)}),
    "search nothing": ("search_by_text", {"texts": strings(), "k": K}),
    "k zero": ("search_by_text", {"texts": strings("a"), "k": np.int32(0)}),
    "k negative": ("search_by_text", {"texts": strings("a"), "k": np.int32(-3)}),
    "k differs": ("search_by_text", {"texts": strings("a", "b"), "k": np.array([1, 2], "int32")}),
    "no k": ("search_by_text", {"texts": strings("a"), "k": np.zeros(0, "int32")}),
    "ids too large": ("embed_token_ids", {**IDS, "token_ids": IDS["token_ids"] + 99}),
    "ids negative": ("embed_token_ids", {**IDS, "token_ids": IDS["token_ids"] - 1}),
    "all padding": ("embed_token_ids", {**IDS, "padding_mask": np.zeros((2, 6), bool)}),
    "pixels of 255": ("embed_pixels", {"pixels": PIXELS * 255}),
    "pixels of nan": ("embed_pixels", {"pixels": PIXELS * np.float32("nan")}),
    "two bad": ("embed_images", {"images": strings(IMAGES[0], b"", IMAGES[1], b"x")}),
    **{
        name: ("embed_images", {"images": strings(IMAGES[0], contents)})
        for name, (contents, _) in BAD_IMAGES.items()
    },
}


@pytest.fixture(scope="module")
def answers(artefact, ask_alone):
    return dict(zip(CALLS, ask_alone(artefact, list(CALLS.values()))))


def embeddings(answers, name):
    answer = answers[name]
    assert not isinstance(answer, str), answer
    assert answer["embeddings"].dtype == np.float32
    return answer["embeddings"]


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def encode_texts(model, texts):
    tokens = model.preprocessor.tokenize(texts)
    return numpy(model.encode_texts(**tokens))


def test_embeddings_are_the_models(model, answers):
    expected = {
        "texts": encode_texts(model, TEXTS),
        "default": encode_texts(model, TEXTS[:1]),
        "broken": encode_texts(model, ["??? red", "red ??", "?"]),
        "images": numpy(model.encode_images(model.preprocessor.load_images(IMAGES))),
        "pixels": numpy(model.encode_images(PIXELS)),
        "ids": numpy(model.encode_texts(**IDS)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(embeddings(answers, name), value, atol=1e-5, err_msg=name)
    # The comparison would not notice a model that makes one thing of everything.
    assert np.linalg.norm(expected["images"][0] - expected["images"][1]) > 0.01
    assert np.linalg.norm(expected["texts"][0] - expected["texts"][1]) > 0.01


def test_first_picture_of_an_animation(answers):
    first, still = embeddings(answers, "animated")
    # Its palette is another than the still picture's.
    np.testing.assert_allclose(first, still, atol=0.1)


@pytest.mark.parametrize("name", ["no texts", "no images", "no pixels", "no ids"])
def test_batch_of_nothing(answers, name):
    assert embeddings(answers, name).shape == (0, 8)


@pytest.mark.processor
def test_search_equals_brute_force(answers, gallery):
    expected = gallery.search(embeddings(answers, "texts")[:5], 5)
    found = answers["search"]
    np.testing.assert_array_equal(found["ids"], expected["ids"])
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-6)
    names = np.vectorize(lambda name: name.decode())(found["names"])
    np.testing.assert_array_equal(names, expected["names"])
    for name in ("k of one", "k for each"):
        np.testing.assert_array_equal(answers[name]["ids"], found["ids"])


@pytest.mark.processor
def test_more_than_there_is_and_ties(answers, gallery):
    found = answers["all"]
    assert found["ids"].shape == (5, 40) and found["names"].shape == (5, 40)
    for ids, scores in zip(found["ids"].tolist(), found["scores"]):
        assert sorted(ids) == gallery.ids.tolist()
        assert (np.diff(scores) <= 0).all()
        place = ids.index(103)
        assert ids[place : place + 3] == [103, 107, 138]


def test_search_without_a_query(answers):
    found = answers["search nothing"]
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(found, (0, 5))


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_image_is_named_by_its_position(answers, name):
    answer = answers[name]
    assert isinstance(answer, str) and answer.startswith("InvalidArgumentError")
    assert f"images[1] {BAD_IMAGES[name][1]}" in answer
    assert "bad images in the request: 1 of 2" in answer


@pytest.mark.parametrize(
    "name, message",
    [
        ("two bad", r"images[1] is empty; bad images in the request: 2 of 4"),
        ("k zero", "k must be 1 or more"),
        ("k negative", "k must be 1 or more"),
        ("k differs", "k must be one number, or the same for each query"),
        ("no k", "k must be one number"),
        ("ids too large", "token_ids must be at least 0 and below 14"),
        ("ids negative", "token_ids must be at least 0"),
        ("all padding", "padding_mask must be true somewhere in each row"),
        ("pixels of 255", "pixels must be numbers from 0 to 1"),
        ("pixels of nan", "pixels must be numbers from 0 to 1"),
    ],
)
def test_refused(answers, name, message):
    assert isinstance(answers[name], str)
    assert answers[name].startswith("InvalidArgumentError") and message in answers[name]
