"""`RoCMR` inside Keras's own loop: compiled, scheduled, scaled and validated.

Compiling is what these tests cost, so each compiled trainer serves several of them, and
each of the losses and text attacks comes along in one that is compiled anyway.
"""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.trainers import RoCMR

EPOCHS = 4
#: Where PyTorch takes several steps in one execution.
IS_KERAS_3_16 = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 16)


@keras.saving.register_keras_serializable(package="rocmr_keras_tests")
class CountingRoCMR(RoCMR):
    """Counts how often Python runs `perturb`: once a trace, or each step if eager."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.perturbed = []

    def perturb(self, data, training):
        self.perturbed.append(training)
        return super().perturb(data, training)


@pytest.fixture(scope="module")
def trained(make_model, make_attacks, make_batch, state_of):
    """One run that most tests look at: all four views, BatchNorm, Dropout, validation."""
    keras.utils.set_random_seed(0)
    attacks = make_attacks(random_start=True)
    model = make_model(normalization="batch", dropout=0.1)
    trainer = CountingRoCMR(model, **attacks)
    trainer.compile(keras.optimizers.AdamW(0.02))
    before = state_of(model)
    seeds = [state_of(attack.seed_generator)[0] for attack in attacks.values()]
    # Steps of four, four and two pairs.
    data = make_batch(10)
    history = trainer.fit(
        data, batch_size=4, epochs=EPOCHS, validation_data=make_batch(8), verbose=0
    )
    return {
        "trainer": trainer,
        "history": history.history,
        "before": before,
        "after": state_of(model),
        "seeds": seeds,
        "data": data,
        "perturbed": list(trainer.perturbed),
    }


def test_fit_reduces_the_loss(trained):
    loss = trained["history"]["loss"]
    assert np.all(np.isfinite(loss))
    assert loss[-1] < 0.8 * loss[0]


def test_fit_moves_every_trainable_weight_and_the_batch_statistics(trained):
    model = trained["trainer"].dual_encoder
    for variable, old, new in zip(model.variables, trained["before"], trained["after"]):
        if "seed" not in variable.path:
            moves = variable.trainable or "moving" in variable.path
            assert np.any(old != new) == moves, variable.path


def test_attacks_draw_anew_in_every_step(trained, state_of):
    trainer = trained["trainer"]
    for attack, old in zip((trainer.image_attack, trainer.text_attack), trained["seeds"]):
        assert np.any(old != state_of(attack.seed_generator)[0])
        assert 0.0 <= attack.stalled_share < 1.0
        # Counted in validation as well: ten and eight examples in each epoch.
        assert float(ops.convert_to_numpy(attack.total_gradients)) == EPOCHS * 18


def test_metrics_of_training_and_validation(trained):
    names = {"loss", "recall_at_1", "adversarial_recall_at_1"}
    assert set(trained["history"]) == names | {f"val_{name}" for name in names}
    for name, values in trained["history"].items():
        assert "recall" not in name or all(0.0 <= value <= 1.0 for value in values)


def test_one_trace_for_each_shape(trained, is_compiled):
    traces = trained["perturbed"].count(True), trained["perturbed"].count(False)
    if is_compiled:
        assert traces[0] <= 2 and traces[1] <= 2
    else:
        assert traces == (3 * EPOCHS, 2 * EPOCHS)


def test_evaluate_leaves_the_model_alone(trained, state_of):
    trainer = trained["trainer"]
    before = state_of(trainer.dual_encoder)
    logs = trainer.evaluate(trained["data"], batch_size=4, return_dict=True, verbose=0)
    assert set(logs) == {"loss", "recall_at_1", "adversarial_recall_at_1"}
    for old, new in zip(before, state_of(trainer.dual_encoder)):
        np.testing.assert_array_equal(old, new)


def test_saved_and_loaded(trained, batch, tmp_path):
    trainer = trained["trainer"]
    path = tmp_path / "trainer.keras"
    trainer.save(path)
    again = keras.saving.load_model(path)
    assert type(again) is CountingRoCMR
    assert again.get_config() == trainer.get_config()
    # Keras saves no seeds; `callbacks.Checkpoint` does.
    for variable, loaded in zip(trainer.weights, again.weights, strict=True):
        values = [ops.convert_to_numpy(value) for value in (variable, loaded)]
        np.testing.assert_array_equal(*values, err_msg=variable.path)
    assert again.optimizer.get_config() == trainer.optimizer.get_config()
    images = [ops.convert_to_numpy(model(batch)["image_embeddings"]) for model in (trainer, again)]
    np.testing.assert_allclose(*images, atol=1e-6)


def test_standard_is_attacked_in_validation_only(make_trainer, make_batch):
    trainer = make_trainer("standard")
    trainer.compile(keras.optimizers.SGD(0.1))
    history = trainer.fit(
        make_batch(8), batch_size=4, validation_data=make_batch(8), verbose=0
    ).history
    assert "val_adversarial_recall_at_1" in history
    assert "adversarial_recall_at_1" not in history
    # Prediction attacks as well, and where it computes no gradients the attacks do.
    views = trainer.predict(make_batch(8), batch_size=4, verbose=0)
    clean = "image_embeddings", "text_embeddings"
    assert set(views) == {*clean, *(f"adversarial_{name}" for name in clean)}
    assert {value.shape for value in views.values()} == {(8, 8)}
    for name in clean:
        assert np.abs(views[name] - views[f"adversarial_{name}"]).max() > 1e-3


def test_every_feature_of_the_optimizer_on_a_stream_of_batches(make_flat_model, make_attacks):
    words = ["red", "green", "blue", "apple"]
    preprocessor = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *words], 6, (8, 8))
    pixels = np.random.RandomState(0).randint(0, 256, size=(8, 8, 8, 3)).astype("uint8")
    captions = [f"{words[index % 3]} apple" for index in range(8)]
    split = Split(pixels, np.arange(8), captions, np.arange(8))
    trainer = RoCMR(make_flat_model(regularizer=keras.regularizers.L2(0.1)), **make_attacks())
    optimizer = keras.optimizers.AdamW(
        0.01, clipnorm=1.0, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=2
    )
    trainer.compile(optimizer)
    before = trainer.get_weights()
    history = trainer.fit(
        batches(split, preprocessor, batch_size=4), epochs=2, shuffle=False, verbose=0
    )
    assert np.all(np.isfinite(history.history["loss"]))
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 2
    assert any(np.any(old != new) for old, new in zip(before, trainer.get_weights()))
    # The loss of the compiled step is that of the eager one, the regulariser included.
    batch = next(iter(batches(split, preprocessor, batch_size=4, shuffle=False)))
    batch = {name: np.asarray(value) for name, value in batch.items()}
    perturbed = trainer.perturb(batch, training=False)
    views = trainer(perturbed, training=False)
    loss = float(ops.convert_to_numpy(trainer.compute_loss(x=perturbed, y_pred=views)))
    penalty = float(ops.convert_to_numpy(trainer.losses[0]))
    logs = trainer.evaluate(batch, batch_size=4, return_dict=True, verbose=0)
    assert 0.0 < penalty < loss == pytest.approx(logs["loss"], rel=1e-4)


def test_several_steps_in_one_execution(make_trainer, make_batch, compile_options, is_compiled):
    trainer = make_trainer("mat", text_attack=TokenSubstitution(1, num_candidates=4))
    trainer.compile(keras.optimizers.Adam(0.01), **compile_options)
    history = trainer.fit(make_batch(16), batch_size=4, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and history["loss"][1] < history["loss"][0]
    assert int(ops.convert_to_numpy(trainer.optimizer.iterations)) == 8
    if not is_compiled:
        trainer.compile(keras.optimizers.Adam(0.01), steps_per_execution=2)
        refusal = pytest.raises(ValueError, match="`steps_per_execution` must be 1")
        with contextlib.nullcontext() if IS_KERAS_3_16 else refusal:
            trainer.fit(make_batch(8), batch_size=4, verbose=0)


def test_eager_step_moves_batch_statistics_by_the_training_pass_alone(
    make_model, make_attacks, batch
):
    """A clean pass and two attacks go before; one update comes, of the adversarial images."""
    model = make_model(normalization="batch")
    twin = make_model(normalization="batch")
    twin.set_weights(model.get_weights())
    trainer = RoCMR(model, terms="tecoa", **make_attacks())
    found = trainer.perturb(batch, training=True)["adversarial_images"]
    trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    logs = trainer.train_on_batch(batch, return_dict=True)
    assert np.isfinite(logs["loss"])
    twin.encode_images(found, training=True)
    pairs = zip(model.variables, twin.variables)
    statistics = [(ours, theirs) for ours, theirs in pairs if "moving" in ours.path]
    assert statistics
    for ours, theirs in statistics:
        values = [ops.convert_to_numpy(value) for value in (ours, theirs)]
        np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)


# A loss that ignores the temperature leaves it without a gradient, and Keras says so.
@pytest.mark.filterwarnings("ignore:.*Gradients do not exist")
@pytest.mark.parametrize(
    "policy, num_layers, loss",
    [
        ("mixed_bfloat16", 1, "pairwise_sigmoid"),
        # Attention in float16 does not run on every CPU.
        ("mixed_float16", 0, "hardest_triplet"),
    ],
)
def test_mixed_precision(policy, num_layers, loss, set_policy, make_model, make_trainer, batch):
    set_policy(policy)
    model = make_model(num_layers, use_logit_bias=True)
    trainer = make_trainer(model=model, loss=loss)
    trainer.compile(keras.optimizers.Adam(1e-3))
    scaled = isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    before = trainer.get_weights()
    logs = [trainer.train_on_batch(batch, return_dict=True) for _ in range(2)]
    assert all(np.isfinite(log["loss"]) and 0.0 < log["loss"] < 100.0 for log in logs)
    assert all(np.all(np.isfinite(weight)) for weight in trainer.get_weights())
    # The first scale of float16 may be too large: then nothing moves, by design.
    if not scaled:
        assert any(np.any(old != new) for old, new in zip(before, trainer.get_weights()))


@pytest.mark.parametrize("terms", ["fare", "leaf"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_of_distances(policy, terms, set_policy, make_model, make_anchored, batch):
    set_policy(policy)
    trainer = make_anchored(terms, make_model())
    trainer.compile(keras.optimizers.AdamW(1e-3), run_eagerly=True)
    logs = [trainer.train_on_batch(batch, return_dict=True) for _ in range(2)]
    assert all(np.isfinite(log["loss"]) and log["loss"] > 0.0 for log in logs)
    assert all(np.all(np.isfinite(weight)) for weight in trainer.get_weights())
