"""Messages that say the rule, what came and the remedy, for what people get wrong."""

import json

import keras
import numpy as np
import pytest

import rocmr_keras as rk
from rocmr_keras.attacks import PGD
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.evaluation import audit
from rocmr_keras.evaluation import auto_attack
from rocmr_keras.evaluation import evaluate
from rocmr_keras.gallery import build_gallery

TOKENS = np.array([[2, 4, 3, 0, 0, 0]] * 4, "int32")


def make_batch(**changes):
    batch = {
        "images": np.full((4, 4, 4, 3), 0.5, "float32"),
        "token_ids": TOKENS,
        "padding_mask": TOKENS != 0,
        "image_ids": np.arange(4),
    }
    return {name: value for name, value in {**batch, **changes}.items() if value is not None}


@pytest.fixture
def trainer(make_colour_model):
    model = rk.models.DualEncoder(
        make_colour_model().image_encoder,
        rk.models.TextEncoder(20, 6, 8, 0, projection_dim=3),
    )
    trainer = rk.RoCMR(model, terms="standard")
    trainer.compile(keras.optimizers.SGD(0.1))
    return trainer


FITTED = [
    (make_batch(padding_mask=None), {}, "token_ids'], without padding_mask. "),
    ({**make_batch(images=None), "pixels": 0}, {}, "Received: .*'pixels'.*, without images. "),
    (make_batch(image_ids=np.arange(3)), {}, "of one length. Received: .*'images': 4.*: 3}"),
    (make_batch(image_ids=np.array(list("abcd"))), {}, "must be integers .*<U1. .*numbers ids"),
    (make_batch(padding_mask=TOKENS > 9), {}, "must have a token. .* in row 0. .*UNK"),
    (make_batch(token_ids=TOKENS + 20), {}, "from 0 to 19, .* ids from 20 to 24. Tokenize"),
    (make_batch(), {"y": np.zeros(4)}, "its own loss and metrics, .*Received: `y`. Leave it"),
    (make_batch(), {"sample_weight": np.ones(4)}, "Received: `sample_weight`. Leave it out; "),
    (make_batch(), {"class_weight": {0: 1.0}}, "Received: `class_weight`. Leave it out; "),
]


@pytest.mark.parametrize("batch, options, message", FITTED)
def test_what_cannot_be_trained_on(batch, options, message, trainer):
    with pytest.raises(ValueError, match=message):
        trainer.fit(batch, verbose=0, **options)


def test_compiled_metrics(trainer):
    trainer.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"])
    with pytest.raises(ValueError, match="Received: `metrics`. Leave it out; .*evaluate`"):
        trainer.fit(make_batch(), verbose=0)


def test_no_batches(trainer, colour_split):
    for data, told in ((None, "x=None"), (colour_split, "x=<Split ")):
        with pytest.raises(ValueError, match=f"trains on batches. Received: {told}.*data.batches"):
            trainer.fit(data, verbose=0)


@pytest.mark.parametrize(
    "terms, message",
    [
        (["clean"], r"a dict of weights or `Terms`. Received: terms=\['clean'\]"),
        ({"clean": "1"}, "must be numbers. Received: '1', a str. Write e.g. clean=0.5"),
        ({"consistency": None, "clean": 1.0}, "must be numbers. Received: None, a NoneType"),
    ],
)
def test_what_are_no_terms(terms, message):
    with pytest.raises(ValueError, match=message):
        rk.RoCMR(None, terms=terms)


def test_a_misspelt_term():
    with pytest.raises(ValueError, match="Received: 'claen'. Was 'clean' meant?"):
        rk.RoCMR(None, terms={"claen": 1.0})


@pytest.mark.parametrize("name, message", [("pixels", "without images"), ("ids", "token_ids")])
def test_a_dual_encoder_without_a_part(name, message, trainer):
    batch = make_batch(images=None) if name == "pixels" else make_batch(token_ids=None)
    with pytest.raises(ValueError, match=f"A batch must be a dict with .*{message}"):
        trainer.dual_encoder.predict({**batch, name: batch["image_ids"]}, verbose=0)


def read_karpathy(tmp_path, text):
    path = tmp_path / "dataset.json"
    path.write_text(text)
    return rk.data.load("karpathy", captions=path, images=tmp_path)


def entry(**changes):
    sentences = [{"raw": "a cat"}]
    known = {"filename": "a.jpg", "split": "train", "sentences": sentences, **changes}
    return json.dumps({"images": [known]})


@pytest.mark.parametrize(
    "text, message",
    [
        (entry(filename=None), "'filename' of every entry .* must be a str. Received: None"),
        (entry(sentences=None), "'sentences' of every entry .* must be a list. Received: None"),
        (entry(sentences=[{"raw": 3}]), "'raw' of every entry .* must be a str. Received: 3"),
        (entry(filepath=7), "'filepath' of every entry .* must be a str. Received: 7"),
        ('{"images": 3}', "'images' of every entry .* must be a list. Received: 3"),
        ("[" * 100000, "must be JSON. Received: .*dataset.json.*Check that"),
    ],
)
def test_files_of_karpathy(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_karpathy(tmp_path, text)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("albef", '[{"image": 3, "caption": "a"}]', "'image' of every entry .* a str. .*: 3"),
        ("coco", '{"images": 3, "annotations": []}', "'images' .* must be a list. Received: 3"),
        ("coco", '{"images": [], "annotations": null}', "'annotations' .* a list. .*: None"),
        ("coco", '{"images": [{"id": 1, "file_name": null}]}', "'file_name' .* a str. .*: None"),
        ("coco", '{"images": [{"id": true, "file_name": "x"}]}', "must be integers.*: True"),
        ("flickr_tokens", b"a.jpg#0\tx\na.jpg#1\t\xff", "UTF-8. .*made_test', line 2: invalid"),
    ],
)
def test_files_of_other_formats(name, content, message, tmp_path):
    path = tmp_path / "made_test"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        rk.data.load(name, captions=path, images=tmp_path)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("csv", {"captoins": "a.csv"}, "among .'captions', .*Received: .'captoins'.: missing a"),
        ("karpathy", {"captions": "a.json"}, "'images'. Correct the name, or pass what is mis"),
        ("albef", {"captions": None, "images": "x"}, "Received: .'images'.: .* 'captions'"),
        ("csv", {"captions": "a.csv", "delimiter": "ab"}, "one character. .*'ab'. Leave it out"),
    ],
)
def test_options_of_loaders(name, options, message):
    with pytest.raises(ValueError, match=message):
        rk.data.load(name, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: p.tokenize(["a", None]), "`texts` must be strings. Received: None at .* 1"),
        (lambda p: p.load_images("cat.jpg"), "must be a list. Received: one path .*cat.jpg"),
        (lambda p: p.load_images(b"abc"), "must be a list. Received: .*bytes of one image"),
        (lambda p: Preprocessor.from_captions([None]), "`captions` must be strings. .*None"),
        (
            lambda p: Preprocessor.from_captions("a red apple"),
            "list of strings, or its letters .* Received: captions='a red apple'. Put it",
        ),
        (lambda p: rk.models.build("tiny", None), "from which the towers .*=None without vocab"),
        (
            lambda p: rk.models.DualEncoder(*make_towers(10), p),
            "a table of 10 rows, preprocessor.vocabulary_size=20. Build the text tower",
        ),
        (
            lambda p: Split([np.zeros((4, 4, 3))], [0], ["a"], [0]),
            "list of paths, or one array .*Received: a list with ndarray. Stack",
        ),
        (lambda p: p.tokenize(None), "`texts` must be strings. Received: None"),
        (lambda p: p.load_images([None]), "must be paths, bytes .* array of object, array.*None"),
        (lambda p: Preprocessor(SPECIAL, 6, 64.0), "two positive ints, .*image_size=64.0. Pass"),
        (lambda p: Preprocessor(SPECIAL, 6, "64"), "two positive ints, .*image_size='64'. Pass"),
        (lambda p: Split("abcd", range(4), ["a"] * 4, range(4)), "`images` must be a list.*letter"),
        (lambda p: Split(["a"] * 2, [0, 1], "ab", [0, 1]), "`captions` must be a list.*letter"),
        (lambda p: Split(["a"], None, ["a"], [0]), "`image_ids` must be a list .*=None. Number"),
        (lambda p: Split(["a"], "0", ["a"], [0]), "`image_ids` must be a list .*='0'. Number"),
        (lambda p: make_split().take([2]), "positions among the 2 images.*Received: array..2.."),
        (lambda p: make_split().take([True]), "positions among the 2 images, or a boolean for e"),
        (lambda p: make_split().subset(1.5), "an integer from 1 to .*Received: n_images=1.5"),
        (lambda p: rk.data.batches({"train": make_split()}, p), "`rocmr.*Split`.* of type dict"),
        (lambda p: rk.data.batches(make_split(), p, 1.5), "positive integer.* batch_size=1.5, 2"),
    ],
)
def test_preprocessors_models_and_splits(make, message, colour_preprocessor):
    with pytest.raises(ValueError, match=message):
        make(colour_preprocessor)


SPECIAL = ["[PAD]", "[UNK]", "[START]", "[END]"]


def make_split():
    return Split(np.zeros((2, 4, 4, 3), "uint8"), [0, 1], ["a", "b"], [0, 1])


def test_booleans_choose_images():
    assert make_split().take([False, True]).captions == ["b"]
    paths = Split(["a.jpg", "b.jpg"], [0, 1], ["a", "b"], [0, 1])
    assert paths.take(np.array([False, True])).images == ["b.jpg"]


def make_towers(vocabulary_size):
    image_encoder = keras.Sequential([keras.layers.Input((4, 4, 3)), keras.layers.Flatten()])
    return image_encoder, rk.models.TextEncoder(vocabulary_size, 6, 8, 0, projection_dim=48)


def test_an_image_size_may_be_a_side():
    preprocessor = Preprocessor(SPECIAL, image_size=np.int64(16))
    assert preprocessor.image_size == (16, 16)
    assert Preprocessor.from_config(preprocessor.get_config()).image_size == (16, 16)


@pytest.mark.parametrize(
    "encode, message",
    [
        (lambda m: m.encode_images(np.full((1, 4, 4, 3), 9.0)), r"in \[9.0, 9.0\]. Divide"),
        (lambda m: m.encode_images(np.full((1, 4, 4, 3), np.nan)), r"in \[nan, nan\]. Divide"),
        (lambda m: m.encode_texts(TOKENS + 30, TOKENS != 0), "from 0 to 19, .*from 30 to 34"),
        (lambda m: m.encode_texts(TOKENS, TOKENS > 9), "must have a token. Received: .* row 0"),
    ],
)
def test_values_that_are_at_hand(encode, message, colour_model):
    with pytest.raises(ValueError, match=message):
        encode(colour_model)


def without_preprocessor(model):
    return rk.models.DualEncoder(model.image_encoder, model.text_encoder)


class Empty:
    images, captions, image_ids = [], [], []

    def __repr__(self):
        return "<nothing>"


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda m, s: evaluate(without_preprocessor(m), s), "with a preprocessor, .*Received"),
        (lambda m, s: evaluate(m, make_batch()), "must be a `rocmr_keras.data.Split`.*type dict"),
        (lambda m, s: evaluate(m, s, [PGD(0.1)]), "dict from a name .* type list. Write"),
        (lambda m, s: evaluate(m, Empty()), "must hold an image. Received: <nothing>. "),
        (lambda m, s: evaluate(m, s, batch_size=0), "at least 1. Received: batch_size=0. "),
        (lambda m, s: auto_attack(without_preprocessor(m), s, 0.1), "with a preprocessor, .*Rec"),
        (lambda m, s: auto_attack(m, s, 0.1, batch_size=-1), "least 1. Received: batch_size=-1"),
        (lambda m, s: audit(without_preprocessor(m), s, 0.1), "with a preprocessor, .*Received"),
    ],
)
def test_evaluations(run, message, colour_model, colour_split):
    with pytest.raises(ValueError, match=message):
        run(colour_model, colour_split)


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda m, s: build_gallery(without_preprocessor(m), s), "with a preprocessor, .*Received"),
        (lambda m, s: build_gallery(m, {"test": s}), "must be one split, .* dict with .'test'.."),
        (lambda m, s: build_gallery(m, s, batch_size=0), "at least 1. Received: batch_size=0. "),
        (lambda m, s: find(np.full((1, 3), np.nan), 1), "finite numbers. Received: NaN, infinity"),
        (lambda m, s: find(np.array([["a", "b", "c"]]), 1), "finite .* type <U1. Texts are enc"),
        (lambda m, s: find(np.ones((1, 3)), 1.5), "`k` must be 1 or more, an integer.*k=1.5"),
    ],
)
def test_galleries(run, message, colour_model, colour_split):
    with pytest.raises(ValueError, match=message):
        run(colour_model, colour_split)


def find(queries, k):
    return rk.gallery.Gallery(np.eye(3)).search(queries, k)


def test_galleries_look_into_a_trainer_and_take_tensors(colour_model, colour_split):
    trainer = rk.RoCMR(colour_model, terms="standard")
    gallery = build_gallery(trainer, colour_split, verbose=0)
    found = gallery.search(colour_model.encode_texts(["a blue square"]), np.int64(1))
    assert found["ids"].tolist() == [[2]]


NUMBERS = [
    (lambda: PGD(np.float32(0.5), np.int64(2), step_size=np.float32(0.25)), 0.5),
    (lambda: PGD(np.int64(1), np.uint8(2)), 1.0),
    (lambda: rk.attacks.EmbeddingPGD(np.float32(0.5), np.int64(2)), 0.5),
    (lambda: rk.attacks.APGD(np.float64(0.5), np.int32(5)), 0.5),
    (lambda: rk.attacks.TokenSubstitution(np.int64(1), np.int64(8)), None),
    (lambda: rk.attacks.HumanEdits(np.int64(1)), None),
    (lambda: rk.attacks.RandomNoise(np.float32(0.5)), 0.5),
]


@pytest.mark.parametrize("make, epsilon", NUMBERS)
def test_budgets_and_counts_may_be_numbers_of_numpy(make, epsilon):
    # Reports hold budgets as JSON.
    assert json.loads(json.dumps(make().get_config())).get("epsilon") == epsilon


def test_evaluations_look_into_a_trainer(colour_model, colour_split, report):
    trainer = rk.RoCMR(colour_model, terms="standard")
    found = evaluate(trainer, colour_split, batch_size=4, verbose=0)
    assert found["clean"] == report["clean"]
    checked = audit(trainer, colour_split, 0.2, checks=[], verbose=0)
    assert not checked["checks"]
