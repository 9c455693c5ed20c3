import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import encode_adversarial_texts


def test_on_a_model(model, batch):
    random = np.random.RandomState(0)
    candidates = np.repeat(batch["token_ids"][:, None, None], 2, axis=1).repeat(3, axis=2)
    candidates[..., 1] = random.randint(4, 50, size=(4, 2, 3))
    clean = model.encode_texts(batch["token_ids"], batch["padding_mask"], normalize=False)
    target = Target(None, np.eye(4, dtype=bool), clean=clean)
    whole = {**batch, "candidate_token_ids": candidates, "candidate_padding_mask": candidates != 0}
    goal = Goal(target, "embedding_distance", normalize=False)
    found = CharacterChoice().perturb(model, whole, goal)
    assert set(found) == {"adversarial_token_ids", "adversarial_padding_mask"}
    moved = encode_adversarial_texts(model, {**whole, **found}, normalize=False)
    distances = np.sum((ops.convert_to_numpy(moved) - ops.convert_to_numpy(clean)) ** 2, axis=1)
    assert np.all(distances > 0.0)
    mask = ops.convert_to_numpy(found["adversarial_padding_mask"])
    assert not mask[3, 2:].any() and mask[3, 1]
    with pytest.raises(ValueError, match="chooses among `candidate_token_ids`.*with_edits"):
        CharacterChoice().perturb(model, batch, goal)
