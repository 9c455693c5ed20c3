r"""Kills a run at random points, again and again, and compares what it ends in.

    KERAS_BACKEND=tensorflow python tests/kills.py 20

trains a small model once undisturbed and once with 20 kills (SIGKILL, which nothing can
handle), within epochs and while saving. Dropout, augmentation, batch statistics, a warm-up of
budgets, a schedule, averages of weights, shuffling and a validation are on. Prints where each
kill fell and how many bits of the final weights differ; ends with status 1 if any does.
"""

import multiprocessing
import os
import pathlib
import random
import signal
import sys
import tempfile

import keras
import numpy as np

import rocmr_keras as rk

EPOCHS, STEPS = 8, 8
WORDS = ["red", "green", "blue", "apple"]


def make_trainer():
    keras.utils.set_random_seed(0)
    image_encoder = keras.Sequential(
        [
            keras.layers.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
        ]
    )
    text_encoder = rk.models.TextEncoder(20, 6, 8, 1, num_heads=2, projection_dim=8, dropout=0.1)
    options = {"num_steps": 1, "keep_best": False}
    trainer = rk.RoCMR(
        rk.models.DualEncoder(image_encoder, text_encoder),
        image_attack=rk.attacks.PGD(0.1, seed=1, **options),
        text_attack=rk.attacks.EmbeddingPGD(0.3, seed=2, **options),
    )
    rate = keras.optimizers.schedules.CosineDecay(0.02, EPOCHS * STEPS)
    # Keras 3.15 deletes averages on JAX that a validation shares with weights.
    averages = keras.config.backend() != "jax"
    trainer.compile(keras.optimizers.AdamW(rate, use_ema=averages, ema_momentum=0.9))
    return trainer


def write_pack(folder):
    preprocessor = rk.data.Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 6, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), dtype="uint8")
    captions = [f"{WORDS[index % 3]} apple" for index in range(64)]
    split = rk.data.Split(pixels, range(32), captions, [index // 2 for index in range(64)])
    rk.data.pack(split, preprocessor, folder)


def make_data(folder, seed):
    shift = rk.data.RandomShift(0.2, mirror=True)
    return rk.data.batches(rk.data.open_pack(folder), None, 4, augment=shift, seed=seed)


def train(pack, folder, tell):
    """Trains from the newest state on; tells where it begins, and each step."""
    held = rk.files.lock_folder(folder)
    trainer, data = make_trainer(), make_data(pack, 0)
    checkpoint = rk.callbacks.Checkpoint(folder / "state.npz", every_steps=1)
    epoch = checkpoint.restore(trainer, data)
    log = folder / "history.csv"
    rk.callbacks.write_history(log, checkpoint.history)
    tell.send(epoch * STEPS + data.step)
    callbacks = [
        rk.callbacks.EpsilonWarmup(EPOCHS * STEPS // 3),
        checkpoint,
        keras.callbacks.CSVLogger(log, append=epoch > 0),
        keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: tell.send(batch)),
    ]
    options = {"validation_data": make_data(pack, 1), "validation_steps": 2, "verbose": 0}
    trainer.fit(data, initial_epoch=epoch, epochs=EPOCHS, callbacks=callbacks, **options)
    values = [keras.ops.convert_to_numpy(each) for each in trainer.variables]
    with rk.files.replacing(folder / "final.npz") as temporary:
        np.savez(temporary, *values)
    held.close()


def start(target, *arguments):
    """Starts a process that has imported everything; returns it and what it tells."""
    heard, tell = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=target, args=(*arguments, tell))
    process.start()
    tell.close()
    return process, heard


def finish(process, heard):
    try:
        while True:
            heard.recv()
    except EOFError:
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        sys.exit("The run failed.")


def run_killed(pack, folder, kills, draw):
    """Runs to the end, with that many kills on the way. Returns how many fell."""
    fallen = 0
    while not (folder / "final.npz").exists():
        process, heard = start(train, pack, folder)
        if fallen < kills:
            began = heard.recv()
            # Some steps, of which each saves; the kill falls anywhere in one.
            for _ in range(1 + draw.randrange(4)):
                heard.recv()
            process.join(draw.uniform(0.0, 0.1))
            process.kill()
            process.join()
            fallen += 1
            left = sorted(path.name for path in folder.glob(".*.writing*"))
            print(f"kill {fallen}: it began at step {began}, left behind: {left}", flush=True)
        else:
            finish(process, heard)
    return fallen


def compare(one, two):
    """Returns how many values differ in any bit, and of how many."""
    with np.load(one) as first, np.load(two) as second:
        pairs = [(first[name], second[name]) for name in first.files]
    return sum(int(np.sum(a != b)) for a, b in pairs), sum(a.size for a, _ in pairs)


def main(kills):
    with tempfile.TemporaryDirectory() as folder:
        pack, straight, killed = (pathlib.Path(folder, name) for name in ("pack", "one", "two"))
        # In a process of its own: TensorFlow, which tokenises, cannot be forked once it ran.
        finish(*start(lambda folder, tell: write_pack(folder), pack))
        finish(*start(train, pack, straight))
        fallen = run_killed(pack, killed, kills, random.Random(0))
        differing, values = compare(straight / "final.npz", killed / "final.npz")
        same = (straight / "history.csv").read_text() == (killed / "history.csv").read_text()
    print(
        f"{os.environ.get('KERAS_BACKEND')}: {fallen} kills, {differing} of {values} values "
        f"differ, the same history: {same}"
    )
    sys.exit(int(bool(differing) or not same or fallen < kills))


if __name__ == "__main__":
    main(int(sys.argv[1]))
