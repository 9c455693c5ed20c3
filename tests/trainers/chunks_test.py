"""A step by chunks is the step of the whole batch."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import CharacterChoice
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.backend import row_draws
from rocmr_keras.losses import SymmetricSoftmax
from rocmr_keras.trainers import RoCMR

# A first chunk of 2 rows and two of 3; where it says so, two chunks of 4.
SIZE, CHUNK = 8, 3


@pytest.fixture
def train(make_flat_model, make_attacks, make_batch, assign_weights, is_quicker_eagerly):
    """Takes a step; returns the trainer, its logs, and all that a step may change."""

    def train(chunk_size, terms="rocmr", make_model=make_flat_model, freeze=None, **options):
        model = make_model()
        assign_weights(model)
        model.freeze(**(freeze or {}))
        run, change = options.pop("run", step), options.pop("change", dict)
        eagerly = is_quicker_eagerly and run is step
        options = {**make_attacks(random_start=True), **options}
        trainer = RoCMR(model, terms=terms, chunk_size=chunk_size, **options)
        batch = make_batch(SIZE)
        draw = np.random.RandomState(0).randint
        batch["candidate_token_ids"] = draw(4, 20, size=(SIZE, 2, 2, 6)).astype("int32")
        batch["candidate_padding_mask"] = batch["candidate_token_ids"] > 0
        batch = change(batch)
        trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=eagerly)
        logs = run(trainer, batch)
        state = [ops.convert_to_numpy(variable) for variable in trainer.variables]
        return trainer, [*logs, *state]

    return train


def step(trainer, batch):
    return trainer.train_on_batch(batch, return_dict=True).values()


def fit_and_evaluate(trainer, batch):
    history = trainer.fit(batch, batch_size=SIZE, epochs=3, shuffle=False, verbose=0).history
    return [*history.values(), trainer.evaluate(batch, batch_size=SIZE, verbose=0)]


def check_equal(train, chunk_size=CHUNK, attacks=dict, rtol=1e-5, atol=1e-6, **options):
    _, whole = train(None, **options, **attacks())
    trainer, chunks = train(chunk_size, **options, **attacks())
    names = [variable.path for variable in trainer.variables]
    names = [*["logs"] * (len(whole) - len(names)), *names]
    for name, expected, found in zip(names, whole, chunks, strict=True):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=name)


def test_a_compiled_step_of_a_rest_and_chunks(train, monkeypatch):
    # Draws of several blocks, on TensorFlow of a number that the graph does not know.
    monkeypatch.setattr(row_draws, "BLOCK_ROWS", 3)
    check_equal(train, run=fit_and_evaluate)


@pytest.mark.parametrize("chunk_size", [4, 3 * SIZE])
def test_chunks_of_one_size_and_a_batch_of_one_chunk(train, chunk_size):
    check_equal(train, chunk_size)


@pytest.mark.parametrize("chunk_size", [CHUNK, 2])
def test_chunks_draw_from_several_blocks_of_rows(train, monkeypatch, chunk_size):
    monkeypatch.setattr(row_draws, "BLOCK_ROWS", 3)
    check_equal(train, chunk_size)


def as_bytes(batch):
    return {**batch, "images": np.round(255 * batch["images"]).astype("uint8")}


def as_floats_of_bytes(batch):
    return {**batch, "images": as_bytes(batch)["images"] * np.float32(1 / 255)}


@pytest.mark.parametrize("chunk_size", [None, CHUNK])
def test_images_as_bytes(train, chunk_size):
    _, expected = train(chunk_size, change=as_floats_of_bytes)
    _, found = train(chunk_size, change=as_bytes)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def whole_rows(similarities, positives, scale, bias):
    """A loss of one's own: of all rows at a time."""
    positives = ops.cast(positives, "float32")
    return ops.mean(ops.softplus(scale * similarities) * (1 - positives) - similarities * positives)


class Doubled(SymmetricSoftmax):
    """Inherits `by_row`, which does not know of it."""

    def __call__(self, *arguments):
        return 2.0 * super().__call__(*arguments)


@pytest.mark.parametrize("loss", ["pairwise_sigmoid", "hardest_triplet", whole_rows, Doubled()])
def test_every_loss(train, loss):
    check_equal(train, loss=loss, freeze={"similarity": loss == "hardest_triplet"})


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(train, set_policy, policy):
    set_policy(policy)
    # Eight bits, of gradients that are summed up in another order.
    check_equal(train, rtol=2**-7, atol=2**-7)


def token_attacks():
    substitution = TokenSubstitution(1, 2, random_start=True, num_drawn=20, seed=2)
    substitution.epsilon_scale.assign(0.5)
    image_attack = PGD(0.5, num_steps=2, norm="l2", num_restarts=2, seed=1)
    return {"image_attack": image_attack, "text_attack": substitution}


def test_searches_draw_and_find_the_same(train):
    check_equal(train, attacks=token_attacks, terms="mat")


def test_edits_of_a_chunk(train):
    check_equal(
        train, attacks=lambda: {"text_attack": CharacterChoice(seed=3)}, terms="rocmr_text_only"
    )


def test_a_distance_to_the_reference_with_group_normalisation(train, make_model):
    def grouped():
        return make_model(normalization="group")

    freeze = {"texts": "all", "similarity": True}
    options = {"terms": "fare", "make_model": grouped, "freeze": freeze}
    check_equal(train, attacks=lambda: {"text_attack": None}, **options)


def test_frozen_towers(train):
    check_equal(train, terms="tecoa", freeze={"images": "tower"})


def test_recorded_encodings_and_constant_clean_images(train, make_attacks):
    terms = {"adversarial_pairs": 1.0, "constant_clean_images": True}
    check_equal(train, attacks=make_attacks, terms=terms)


def test_batch_statistics_are_frozen_or_refused(train, make_model):
    def normalized():
        return make_model(normalization="batch")

    check_equal(train, make_model=normalized, freeze={"batch_norm": True})
    with pytest.raises(ValueError, match=r"writes to .*moving_.*batch_norm=True"):
        train(CHUNK, make_model=normalized)


def test_dropout_draws_again_what_it_drew(make_flat_model, make_batch, is_quicker_eagerly):
    model = make_flat_model()
    model.image_encoder.add(keras.layers.Dropout(0.5))
    trainer = RoCMR(model, terms="standard", chunk_size=CHUNK)
    trainer.compile(keras.optimizers.SGD(1.0), run_eagerly=is_quicker_eagerly)
    start = [ops.convert_to_numpy(variable).copy() for variable in trainer.variables]
    kernel = model.image_encoder.layers[1].kernel
    before = ops.convert_to_numpy(kernel).copy()

    def loss_at(move):
        for variable, value in zip(trainer.variables, start):
            variable.assign(value)
        kernel.assign(before + move)
        # Some backends draw dropout masks from a state of their own.
        keras.utils.set_random_seed(0)
        return float(trainer.train_on_batch(make_batch(SIZE))[0])

    loss_at(0.0)
    gradient = before - ops.convert_to_numpy(kernel)
    step = 0.02 * gradient / np.sum(gradient**2)
    # What the loss rises by, along the gradient, is the step times its square.
    assert (loss_at(step) - loss_at(-step)) / 2 == pytest.approx(0.02, rel=0.05)


def test_a_loss_that_a_layer_adds_is_refused(train, make_flat_model):
    def adding():
        model = make_flat_model()
        model.image_encoder.add(keras.layers.ActivityRegularization(l2=0.1))
        return model

    with pytest.raises(ValueError, match="`add_loss`"):
        train(CHUNK, make_model=adding)


@pytest.mark.parametrize("chunk_size", [0, 2.0, True])
def test_a_size_must_be_a_count(make_trainer, chunk_size):
    with pytest.raises(ValueError, match=f"chunk_size={chunk_size}"):
        make_trainer(chunk_size=chunk_size)


def test_the_size_is_saved_with_the_trainer(make_trainer, check_config):
    trainer = make_trainer(chunk_size=3)
    check_config(trainer)
    assert trainer.get_config()["chunk_size"] == 3
