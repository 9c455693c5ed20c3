import keras
import numpy as np
from keras import ops

from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import RandomSubstitution
from rocmr_keras.attacks import TokenSubstitution


def test_tokens(tower, batch, ordinary, make_target, losses_of):
    losses = [losses_of(tower, {"adversarial_token_ids": batch["token_ids"]}, batch)]
    for attack in (TokenSubstitution(2, num_candidates=8), RandomSubstitution(2, seed=0)):
        found = attack.perturb(tower, batch, Goal(make_target()))
        losses.append(losses_of(tower, found, batch))
        token_ids = ops.convert_to_numpy(found["adversarial_token_ids"])
        changed = token_ids != batch["token_ids"]
        assert not np.any(changed & ~ordinary) and np.all(token_ids[ordinary] > 3)
        assert keras.backend.standardize_dtype(token_ids.dtype) == "int32"
    clean, searched, drawn = losses
    assert np.all(searched >= clean - 1e-6)
    assert searched.mean() > drawn.mean() + 0.1
