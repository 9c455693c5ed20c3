"""Files of the first layout of the package still load, on every backend.

`tests/files/` holds a dual encoder, a compiled trainer after two steps, a gallery, and in
`expected.npz` what they gave. `tests/files/make.py` wrote them at commit 0a4e2ac on
TensorFlow, before the rooms moved: the configs name modules that may be gone. They are
never to be written anew; a new layout gets files of its own.
"""

import json
import pathlib
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras import attacks
from rocmr_keras import data
from rocmr_keras import losses
from rocmr_keras import models
from rocmr_keras.export import Gallery

FILES = pathlib.Path(__file__).parent / "files"
FIRST_MODULES = {
    "dual_encoder": {
        "rocmr_keras.data.preprocessor",
        "rocmr_keras.models.convolutional_image_encoder",
        "rocmr_keras.models.dual_encoder",
        "rocmr_keras.models.text_encoder",
    },
    "trainer": {
        "rocmr_keras.attacks.candidates",
        "rocmr_keras.attacks.pgd",
        "rocmr_keras.attacks.token_substitution",
        "rocmr_keras.losses.symmetric_softmax",
        "rocmr_keras.trainers.rocmr",
    },
}


@pytest.fixture(scope="module")
def expected():
    with np.load(FILES / "expected.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def batch(expected):
    return {
        "images": expected["pixels"] / np.float32(255),
        "token_ids": expected["token_ids"],
        "padding_mask": expected["token_ids"] != 0,
    }


@pytest.fixture(scope="module")
def model():
    return keras.saving.load_model(FILES / "dual_encoder_0.keras")


@pytest.fixture(scope="module")
def trainer():
    return keras.saving.load_model(FILES / "trainer_0.keras")


def modules(config):
    """Yields every `module` of a config, however deep."""
    if isinstance(config, dict):
        yield config.get("module")
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from modules(item)


def check_embeddings(encoder, name, batch, expected):
    found = encoder(batch, training=False)
    for key in ("image_embeddings", "text_embeddings"):
        value = ops.convert_to_numpy(found[key])
        np.testing.assert_allclose(value, expected[f"{name}_{key}"], atol=1e-5)


@pytest.mark.parametrize("name", FIRST_MODULES)
def test_the_files_are_those_of_the_first_layout(name):
    with zipfile.ZipFile(FILES / f"{name}_0.keras") as file:
        assert FIRST_MODULES[name] <= set(modules(json.loads(file.read("config.json"))))


def test_dual_encoder(model, batch, expected):
    assert type(model) is models.DualEncoder
    assert type(model.image_encoder) is models.ConvolutionalImageEncoder
    assert type(model.text_encoder) is models.TextEncoder
    check_embeddings(model, "dual_encoder", batch, expected)


def test_preprocessor(model, batch, expected):
    assert type(model.preprocessor) is data.Preprocessor
    tokens = model.preprocessor.tokenize(expected["captions"].tolist())
    np.testing.assert_array_equal(tokens["token_ids"], batch["token_ids"])
    np.testing.assert_array_equal(tokens["padding_mask"], batch["padding_mask"])
    images = model.preprocessor.load_images(expected["pixels"])
    np.testing.assert_allclose(images, batch["images"], atol=1e-6)


def test_settings_of_the_trainer(trainer):
    weights = {name: weight for name, weight in trainer.terms.get_config().items() if weight}
    assert weights == {
        "clean": 0.15,
        "adversarial_images": 0.05,
        "adversarial_texts": 0.1,
        "adversarial_pairs": 0.7,
        "text_first": True,
    }
    assert type(trainer.retrieval_loss) is losses.SymmetricSoftmax
    assert trainer.attack_objective is attacks.objectives.contrastive
    assert trainer.reference is None


def test_attacks_of_the_trainer(trainer):
    images, texts = trainer.image_attack, trainer.text_attack
    assert type(images) is attacks.PGD and type(texts) is attacks.TokenSubstitution
    assert (images.epsilon, images.num_steps, images.seed) == (4 / 255, 2, 1)
    assert not images.random_start and not images.keep_best
    assert (texts.num_substitutions, texts.num_candidates, texts.seed) == (1, 4, 2)
    assert type(texts.candidates) is attacks.WholeWords


def test_the_trainer_encodes_as_before(trainer, batch, expected):
    check_embeddings(trainer.dual_encoder, "trainer", batch, expected)


def test_the_trainer_goes_on(batch, expected):
    """With a trainer of its own, which it changes."""
    trainer = keras.saving.load_model(FILES / "trainer_0.keras")
    optimizer = trainer.optimizer
    assert isinstance(optimizer, keras.optimizers.AdamW) and optimizer.epsilon == 1e-2
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 2
    found = trainer.train_on_batch(batch, return_dict=True)
    assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-4)
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 3


def test_gallery(expected):
    gallery = Gallery.load(FILES / "gallery_0")
    np.testing.assert_array_equal(gallery.vectors, expected["trainer_text_embeddings"][:3])
    assert gallery.ids.tolist() == [7, 8, 7] and gallery.names == ["a", "b", "c"]
    assert gallery.search(gallery.vectors[1:2], 1)["names"].tolist() == [["b"]]
