import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import Goal

OTHER_ROWS = [0, 2, 2, 0]


@pytest.mark.parametrize("random_start", [True, False])
def test_embeddings(random_start, tower, batch, ordinary, make_target, losses_of):
    attack = EmbeddingPGD(0.5, random_start=random_start, seed=0)
    found = attack.perturb(tower, batch, Goal(make_target()))
    perturbation = ops.convert_to_numpy(found["text_perturbation"]).astype("float64")
    embeddings = ops.convert_to_numpy(tower.embed_tokens(batch["token_ids"]))
    radius = 0.5 * np.linalg.norm(embeddings.astype("float64"), axis=-1)
    assert np.all(np.linalg.norm(perturbation, axis=-1) <= radius + 1.2e-7)
    assert np.all(perturbation[~ordinary] == 0.0)
    assert np.all(np.any(perturbation[:3] != 0.0, axis=(1, 2)))
    clean = {"text_perturbation": np.zeros_like(embeddings)}
    gains = losses_of(tower, found, batch) - losses_of(tower, clean, batch)
    assert gains.min() >= -1e-6 and gains.max() > 0.1


def test_embeddings_do_not_depend_on_each_other(model, batch, make_target):
    attack = EmbeddingPGD(0.5, random_start=False)
    found = attack.perturb(model, batch, Goal(make_target()))["text_perturbation"]
    others = {name: values[OTHER_ROWS] for name, values in batch.items()}
    again = attack.perturb(model, others, Goal(make_target(OTHER_ROWS)))["text_perturbation"]
    found = ops.convert_to_numpy(found)[OTHER_ROWS]
    np.testing.assert_allclose(ops.convert_to_numpy(again), found, atol=1e-6)
