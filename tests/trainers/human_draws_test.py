"""Training on the worst of several edits that people make, which come beside the batch."""

import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import HumanDraws
from rocmr_keras.data import batches
from rocmr_keras.trainers import RoCMR

NUM_DRAWS = 3
DRAWS = HumanDraws(NUM_DRAWS, kinds=["delete", "insert", "swap"], fillers=["tiny", "red"], seed=4)


@pytest.fixture(scope="module")
def dataset(colour_split, colour_preprocessor):
    def dataset(**options):
        plain = batches(colour_split, colour_preprocessor, batch_size=4, seed=1, **options)
        return plain.with_edits(DRAWS)

    return dataset


def test_draws_are_those_of_seed_epoch_and_caption(dataset, colour_split, colour_preprocessor):
    first, again, resumed = list(dataset()), list(dataset()), dataset()
    resumed.epoch = 1
    later = list(resumed)
    name = "candidate_token_ids"
    for batch, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(batch[name], same[name])
        texts = colour_preprocessor.detokenize(batch["token_ids"])
        for text, rows in zip(texts, np.asarray(batch[name])):
            index = colour_split.captions.index(text)
            drawn = DRAWS(text, (0, index))
            assert colour_preprocessor.detokenize(rows[0]) == drawn[0].tolist()
    shapes = {np.asarray(batch[name]).shape[1:] for batch in first}
    assert shapes == {(1, NUM_DRAWS, 6)}
    assert any(np.any(a[name] != b[name]) for a, b in zip(first, later))


def test_a_step_trains_on_the_worst_draw(dataset, make_colour_model):
    trainer = RoCMR(
        make_colour_model(), text_attack=CharacterChoice(seed=0), terms="rocmr_text_only"
    )
    trainer.compile("sgd")
    history = trainer.fit(dataset(drop_remainder=True), epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    batch = next(iter(dataset()))
    found = trainer.perturb(batch, training=False)
    chosen = ops.convert_to_numpy(found["adversarial_token_ids"])
    choices = np.concatenate(
        [batch["token_ids"][:, None], batch["candidate_token_ids"][:, 0]], axis=1
    )
    same = np.all(chosen[:, None] == choices, axis=-1)
    assert same.any(axis=1).all() and not same[:, 0].all()
