"""Trains on two devices and on one, in a process that does nothing else: see `devices_test.py`.

    KERAS_BACKEND=jax python tests/trainers/devices_run.py FOLDER

writes `figures.npz` and `refusals.json`. Twice two steps of each case; a processor is divided into
two devices, or two processes of `torchrun` train. With an address and a number it is one of two
processes on JAX, which write `processes.npz`.
"""

import gc
import json
import pathlib
import sys

import keras
import numpy as np
from keras import ops

import rocmr_keras as rk
from rocmr_keras.trainers import frozen_sides

SIZE = 8
VOCABULARY = ["[PAD]", "[UNK]", "[START]", "[END]", *"abcdefgh"]
#: One for all: each would trace its tokenizer anew, which takes as long as a step.
PREPROCESSOR = rk.data.Preprocessor(VOCABULARY, sequence_length=6, image_size=(4, 4))
IN_ONE_GRAPH = keras.config.backend() == "tensorflow"
IN_ONE_ARRAY = keras.config.backend() == "jax"
#: What is trained: the terms, and what the towers hold.
CASES = {
    "rocmr": {"terms": "rocmr", "dropout": 0.3},
    # On TensorFlow chunks are refused.
    "chunks": {"terms": "mat", "chunk_size": None if IN_ONE_GRAPH else 2},
    "tecoa": {"terms": "tecoa", "normalization": "batch"},
    "fare": {"terms": "fare", "freeze": {"texts": "all", "similarity": True}},
    "frozen": {"terms": "rocmr_text_only", "freeze": {"images": "all"}},
}
#: Replicas of one process can share a last batch of five.
PAIRS = {"frozen": 13 if IN_ONE_GRAPH else 2 * SIZE}


def make_split(pairs):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, size=(pairs, 4, 4, 3)).astype("uint8")
    captions = [" ".join(random.choice(list("abcdefgh"), 3)) for _ in images]
    return rk.data.Split(images, np.arange(pairs), captions, np.arange(pairs))


def make_batches(pairs=2 * SIZE):
    batches = rk.data.batches(make_split(pairs), PREPROCESSOR, SIZE)
    return batches.shard(*rk.trainers.process())


def make_trainer(
    terms, dropout=0.0, normalization="none", freeze=None, layer=None, chunk_size=None
):
    # On PyTorch dropout draws from the one generator there is.
    keras.utils.set_random_seed(0)
    image_encoder = rk.models.ConvolutionalImageEncoder(
        8, (8,), (1,), stem_stride=2, normalization=normalization
    )
    if layer:
        image_encoder = keras.Sequential([keras.layers.Input((4, 4, 3)), image_encoder, layer])
    text_encoder = rk.models.TextEncoder(
        len(VOCABULARY), 6, 8, 0, projection_dim=8, dropout=dropout
    )
    model = rk.models.DualEncoder(image_encoder, text_encoder, PREPROCESSOR)
    random = np.random.RandomState(0)
    for variable in model.variables:
        if len(variable.shape) > 1:
            spread = np.sqrt(np.prod(variable.shape[:-1]))
            variable.assign(random.normal(size=variable.shape).astype("float32") / spread)
        elif "seed" in variable.path:
            variable.assign(np.array([3, 0], variable.dtype))
    if freeze:
        model.freeze(**freeze)
    used = rk.trainers.get_terms(terms)
    options = {"num_steps": 1, "keep_best": False, "seed": 1}
    image_attack = rk.attacks.PGD(0.05, **options) if used.attacks("images") else None
    text_attack = rk.attacks.EmbeddingPGD(0.3, **options) if used.attacks("texts") else None
    trainer = rk.RoCMR(model, image_attack, text_attack, terms=terms, chunk_size=chunk_size)
    # Steps as long as gradients, clipped: both would differ where a part stood for the whole.
    trainer.compile(keras.optimizers.SGD(0.5, momentum=0.9, global_clipnorm=0.1))
    return trainer


class Steps(keras.callbacks.Callback):
    """Keeps what each step tells."""

    def on_train_begin(self, logs=None):
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append([float(logs[name]) for name in sorted(logs)])


def numbers_of(trainer):
    """Returns weights, moving statistics and counts of attacks as one array."""
    kept = [variable for variable in trainer.variables if "seed" not in variable.path]
    return np.concatenate([ops.convert_to_numpy(variable).ravel() for variable in kept])


def run(case, state=None):
    """Trains two epochs, the second one also from the state after the first."""
    trainer, steps, pairs = make_trainer(**CASES[case]), Steps(), PAIRS.get(case, 2 * SIZE)
    callbacks = [steps, rk.callbacks.Checkpoint(state)] if state else [steps]
    trainer.fit(make_batches(pairs), epochs=1, verbose=0, callbacks=callbacks)
    found = {"first": np.array(steps.logs)}
    batches = make_batches(pairs)
    batches.epoch = 1
    if case == "frozen":
        # What a process has alone, the first one has right.
        move_all_but_the_first(trainer)
    trainer.fit(batches, initial_epoch=1, epochs=2, verbose=0, callbacks=[steps])
    found |= {"second": np.array(steps.logs), "variables": numbers_of(trainer)}
    if state:
        again, batches = make_trainer(**CASES[case]), make_batches()
        epoch = rk.callbacks.Checkpoint(state).restore(again, batches)
        again.fit(batches, initial_epoch=epoch, epochs=2, verbose=0)
        found["resumed"] = numbers_of(again)
    if case == "tecoa":
        logs = trainer.evaluate(make_batches(), verbose=0, return_dict=True)
        found["evaluated"] = np.array([logs[name] for name in sorted(logs)])
        embeddings = trainer.predict(make_batches(), verbose=0)
        found["predicted"] = embeddings["adversarial_image_embeddings"]
    if case == "frozen":
        parts = trainer.dual_encoder, trainer.terms, make_batches(pairs)
        found["encoded"] = frozen_sides.encode_once(*parts, 0, 4, verbose=0)["images"]
    return {f"{case}/{name}": value for name, value in found.items()}


def move_all_but_the_first(trainer):
    """Has other weights in other processes than the first, and forgets what was compiled."""
    if rk.trainers.process()[0] and not IN_ONE_ARRAY:
        for weight in trainer.dual_encoder.weights:
            weight.assign(weight + 1.0)
    trainer.train_function = None


def refusal(function):
    try:
        function()
    except ValueError as error:
        return str(error)
    return "not refused"


def refusals():
    """Returns what is said of what cannot equal one device, by its name."""
    index, count = rk.trainers.process()
    arrays = {
        "images": np.random.RandomState(1).uniform(size=(SIZE, 4, 4, 3)).astype("float32"),
        "token_ids": np.full((SIZE, 6), 5, "int32"),
        "padding_mask": np.ones((SIZE, 6), bool),
    }

    def fit(data, **options):
        trainer = make_trainer("standard", **options)
        return refusal(lambda: trainer.fit(data, batch_size=SIZE, verbose=0))

    # One row for two devices: nothing is compiled where that is what is refused.
    odd = {name: array[:1] for name, array in arrays.items()}
    found = {"indivisible": fit(odd), "dropout": fit(odd, layer=keras.layers.Dropout(0.5))}
    found["normalization"] = fit(odd, layer=keras.layers.BatchNormalization())
    if IN_ONE_GRAPH:
        found["chunks"] = fit(arrays, chunk_size=2)
    found["evaluation"] = refusal(
        lambda: rk.attacks.QueryEncoder(make_trainer("standard"), "images")
    )
    if found["evaluation"] != "not refused":
        trainer = make_trainer("standard")
        trainer.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
        found["accumulation"] = refusal(lambda: trainer.fit(make_batches(), verbose=0))
    if count > 1:
        found["no shard"] = fit(make_batches().shard(0, 1))
        found["same rows"] = fit(arrays)
        trainer = make_trainer("standard")
        trainer.compile(keras.optimizers.SGD(0.1), jit_compile=True)
        found["compiled"] = refusal(lambda: trainer.fit(make_batches(), verbose=0))
        uneven = {name: array[: SIZE - index] for name, array in arrays.items()}
        found["uneven"] = fit(uneven)
    return found


def main(folder):
    folder, figures = pathlib.Path(folder), {}
    with rk.trainers.on_devices(2):
        index, _ = rk.trainers.process()
        for case in CASES:
            state = folder / "state.npz" if case == "fare" else None
            figures |= {f"two/{name}": value for name, value in run(case, state).items()}
        refused = refusals()
    if index:
        return
    if IN_ONE_ARRAY:
        with rk.trainers.on_devices(2):
            keras.utils.clear_session()
            trainer = make_trainer("standard")
            refused["forgotten"] = refusal(lambda: trainer.fit(make_batches(), verbose=0))
        with rk.trainers.on_devices(2, weight_parts=2):
            figures |= {f"parts/{name}": value for name, value in run("rocmr").items()}
    else:
        refused["parts"] = refusal(lambda: rk.trainers.on_devices(2, weight_parts=2).__enter__())
    for case in CASES:
        figures |= {f"one/{name}": value for name, value in run(case).items()}
    np.savez(folder / "figures.npz", **figures)
    (folder / "refusals.json").write_text(json.dumps(refused), "utf-8")


def main_of_processes(folder, address, index):
    keras.distribution.initialize(address, 2, int(index))
    folder = pathlib.Path(folder)
    with rk.trainers.on_devices(None):
        figures = run("fare", folder / "state_of_processes.npz")
    parts = refusal(lambda: rk.trainers.on_devices(2, weight_parts=2).__enter__())
    if index == "0":
        np.savez(folder / "processes.npz", parts=parts, **figures)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 2 else main_of_processes(*sys.argv[1:])
    # Else Python goes through all objects of the frameworks before it ends.
    gc.freeze()
