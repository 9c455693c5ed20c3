"""A step that is not finite: named, and either the end of training or undone."""

import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.data import batches
from rocmr_keras.trainers import RoCMR

WORDS = ["red", "green", "blue", "apple"]


@pytest.fixture(scope="module")
def data():
    preprocessor = Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 6, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype="uint8")
    captions = [f"{WORDS[index % 3]} apple" for index in range(12)]
    split = Split(pixels, range(100, 112), captions, range(100, 112))
    return batches(split, preprocessor, batch_size=4)


class Poison(keras.callbacks.Callback):
    """Puts a NaN into a weight before one step, counted over epochs."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch, logs=None):
        if self.left == 0:
            getattr(self.model, "jax_state_sync", lambda: None)()
            weight = self.model.trainable_variables[0]
            values = np.array(ops.convert_to_numpy(weight))
            values.flat[0] = np.nan
            weight.assign(values)
        self.left -= 1


def test_the_step_and_its_examples_are_named(make_trainer, data):
    trainer = make_trainer("standard")
    trainer.compile(keras.optimizers.AdamW(0.01))
    with pytest.raises(FloatingPointError, match="a loss of nan: step 1 of epoch 1,") as caught:
        trainer.fit(data, epochs=3, verbose=0, callbacks=[Poison(4)])
    assert f"image_ids={data.image_ids_at(1, 1).tolist()}" in str(caught.value)
    assert len(set(data.image_ids_at(1, 1)) & set(range(100, 112))) == 4


def test_an_update_that_overflows_is_noticed_in_its_own_step(make_trainer, make_batch):
    trainer = make_trainer("standard")
    trainer.compile(keras.optimizers.SGD(3e38))
    with pytest.raises(FloatingPointError, match="a loss of nan: step 0 of this training"):
        trainer.train_on_batch(make_batch(4))


def test_several_steps_in_one_execution(make_trainer, data, compile_options):
    if not compile_options:
        pytest.skip("torch takes one step at a time")
    trainer = make_trainer("standard")
    trainer.compile(keras.optimizers.AdamW(0.01), steps_per_execution=3)
    with pytest.raises(FloatingPointError, match="step 0 of epoch 1.* or one of 2 steps after it"):
        trainer.fit(data, initial_epoch=1, epochs=2, verbose=0, callbacks=[Poison(0)])


class BadSecondBatch(keras.utils.PyDataset):
    """Four batches; an image of the second one has a NaN."""

    def __init__(self, make_batch):
        super().__init__()
        self.make_batch = make_batch

    def __len__(self):
        return 4

    def __getitem__(self, index):
        batch = self.make_batch(4, seed=index)
        if index == 1:
            batch["images"][2, 0, 0, 0] = np.nan
        return batch


class Copies(keras.callbacks.Callback):
    """Copies all that a step may change."""

    def on_train_begin(self, logs=None):
        self.taken = []

    def on_train_batch_end(self, batch, logs=None):
        getattr(self.model, "jax_state_sync", lambda: None)()
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self.taken.append([np.array(ops.convert_to_numpy(each)) for each in variables])


def test_a_skipped_step_changes_nothing(make_model, make_attacks, make_batch):
    model = make_model(normalization="batch")
    trainer = RoCMR(model, terms="rocmr_image_only", non_finite="skip", **make_attacks())
    trainer.compile(keras.optimizers.AdamW(0.01, use_ema=True))
    copies = Copies()
    with pytest.warns(UserWarning, match="A step was skipped, for its loss was nan: step 1 of"):
        history = trainer.fit(
            BadSecondBatch(make_batch), shuffle=False, verbose=0, callbacks=[copies]
        )
    for old, new in zip(*copies.taken[:2], strict=True):
        np.testing.assert_array_equal(old, new)
    assert any(np.any(old != new) for old, new in zip(*copies.taken[1:3], strict=True))
    assert np.all(np.isfinite(history.history["loss"]))
    assert all(np.all(np.isfinite(value)) for value in copies.taken[3])
    assert int(ops.convert_to_numpy(trainer.optimizer.iterations)) == 3


def test_skipping_needs_single_steps(make_trainer, make_batch):
    with pytest.raises(ValueError, match="must be 'stop' or 'skip'. Received: non_finite='go'"):
        make_trainer(non_finite="go")
    trainer = make_trainer(non_finite="skip")
    trainer.compile(keras.optimizers.SGD(0.1), steps_per_execution=2)
    with pytest.raises(ValueError, match="steps_per_execution` must be 1"):
        trainer.fit(make_batch(8), batch_size=4, verbose=0)


@pytest.mark.parametrize("value, expected", [(np.nan, "nan"), (255.0, "255.0"), (-0.1, "-0.1")])
def test_images_in_arrays_are_looked_at(value, expected, make_trainer, make_batch):
    trainer, batch = make_trainer("standard"), make_batch(8)
    trainer.compile(keras.optimizers.SGD(0.1))
    batch["images"][3, 0, 0, 0] = value
    message = f"`images` must be floats.*{expected}.* 1 images of 8 .* position 3, image_id=3"
    with pytest.raises(ValueError, match=message):
        trainer.fit(batch, verbose=0)
    with pytest.raises(ValueError, match="Divide by 255"):
        trainer.fit(make_batch(4), validation_data=batch, verbose=0)
