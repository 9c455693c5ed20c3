"""Blocks that are computed again give the numbers of blocks that are not."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.fine_tuning import rematerialize
from rocmr_keras.models import ConvolutionalImageEncoder
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder
from rocmr_keras.trainers import RoCMR


def make_trainer():
    images = ConvolutionalImageEncoder(8, (8,), (2,), stem_stride=2)
    texts = TextEncoder(9, 6, 8, num_layers=1, num_heads=2, projection_dim=8, dropout=0.3)
    model = DualEncoder(images, texts)
    options = {"num_steps": 1, "random_start": False, "keep_best": False, "seed": 0}
    return RoCMR(model, PGD(0.05, **options), EmbeddingPGD(0.3, **options))


def test_attack_and_training_step_are_the_same_with_dropout_and_batch_statistics():
    trainers = plain, again = make_trainer(), make_trainer()
    for ours, theirs in zip(plain.variables, again.variables, strict=True):
        if "conv_2/kernel" in ours.path:
            ours.assign(0.1 * np.random.RandomState(0).normal(size=ours.shape))
        theirs.assign(ops.convert_to_numpy(ours))
    model = again.dual_encoder
    blocks = [*rematerialize(model.image_encoder), *rematerialize(model.text_encoder)]
    assert len(blocks) == 3
    random = np.random.RandomState(0)
    token_ids = random.randint(4, 9, size=(4, 6)).astype("int32")
    batch = {
        "images": random.uniform(size=(4, 8, 8, 3)).astype("float32"),
        "token_ids": token_ids,
        "padding_mask": token_ids > 4,
    }
    found = [trainer.perturb(batch, training=True) for trainer in trainers]
    for name in ("adversarial_images", "text_perturbation"):
        values = [ops.convert_to_numpy(perturbed[name]) for perturbed in found]
        np.testing.assert_allclose(*values, atol=1e-6, err_msg=name)
    before = [ops.convert_to_numpy(variable).copy() for variable in again.variables]
    losses = []
    for trainer in trainers:
        # Some backends draw dropout masks from a state of their own.
        keras.utils.set_random_seed(0)
        trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        history = trainer.fit(batch, batch_size=4, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for ours, theirs, old in zip(plain.variables, again.variables, before):
        values = [ops.convert_to_numpy(variable) for variable in (ours, theirs)]
        np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-5, err_msg=ours.path)
        if "moving" in ours.path or "block" in ours.path and ours.trainable:
            assert np.any(values[1] != old), ours.path
    with pytest.raises(ValueError, match="is rematerialized once"):
        rematerialize(model.image_encoder)
