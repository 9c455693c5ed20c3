r"""Kills a run at random points, again and again, and compares what it ends in.

    KERAS_BACKEND=tensorflow python tests/kills.py 20

trains a small model once undisturbed and once with 20 kills (SIGKILL, which nothing can
handle), within epochs and while saving. Dropout, augmentation, batch statistics, a warm-up of
budgets, a schedule, averages of weights, shuffling and a validation are on. Prints where each
kill fell and how many bits of the final weights differ; ends with status 1 if any does.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile

EPOCHS, STEPS = 8, 8
WORDS = ["red", "green", "blue", "apple"]


def make_trainer():
    import keras

    import rocmr_keras as rk

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


def make_data(seed):
    import numpy as np

    import rocmr_keras as rk

    preprocessor = rk.data.Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 6, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), dtype="uint8")
    captions = [f"{WORDS[index % 3]} apple" for index in range(64)]
    split = rk.data.Split(pixels, range(32), captions, [index // 2 for index in range(64)])
    shift = rk.data.RandomShift(0.2, mirror=True)
    return rk.data.batches(split, preprocessor, 4, augment=shift, seed=seed)


def train(folder):
    """Trains from the newest state on; says when steps begin."""
    import keras
    import numpy as np

    import rocmr_keras as rk

    held = rk.files.lock_folder(folder)
    trainer, data = make_trainer(), make_data(0)
    checkpoint = rk.callbacks.Checkpoint(folder / "state.npz", every_steps=1)
    epoch = checkpoint.restore(trainer, data)
    log = folder / "history.csv"
    rk.callbacks.write_history(log, checkpoint.history)
    print(f"from step {epoch * STEPS + data.step}", flush=True)
    callbacks = [
        rk.callbacks.EpsilonWarmup(EPOCHS * STEPS // 3),
        checkpoint,
        keras.callbacks.CSVLogger(log, append=epoch > 0),
        keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: print("step", flush=True)
        ),
    ]
    options = {"validation_data": make_data(1), "validation_steps": 2, "verbose": 0}
    trainer.fit(data, initial_epoch=epoch, epochs=EPOCHS, callbacks=callbacks, **options)
    values = [keras.ops.convert_to_numpy(each) for each in trainer.variables]
    np.savez(folder / "final.npz", *values)
    held.close()


def start(folder):
    command = [sys.executable, __file__, "--train", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_killed(folder, kills, draw):
    """Runs to the end, with that many kills on the way. Returns how many fell."""
    fallen = 0
    while not (folder / "final.npz").exists():
        with start(folder) as process:
            began = next((line.strip() for line in process.stdout if line.startswith("from")), "")
            if fallen < kills and process.stdout.readline():
                # Some steps, of which each saves; the kill falls anywhere in one.
                for _ in range(draw.randrange(4)):
                    process.stdout.readline()
                try:
                    process.wait(draw.uniform(0.0, 0.06))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    fallen += 1
                    left = sorted(path.name for path in folder.glob(".*.writing*"))
                    print(f"kill {fallen}: {began}, left behind: {left}", flush=True)
            process.stdout.read()
            if process.wait() not in (0, -signal.SIGKILL):
                sys.exit("The run failed.")
    return fallen


def compare(one, two):
    """Returns how many values differ in any bit, and of how many."""
    import numpy as np

    with np.load(one) as first, np.load(two) as second:
        pairs = [(first[name], second[name]) for name in first.files]
    return sum(int(np.sum(a != b)) for a, b in pairs), sum(a.size for a, _ in pairs)


def main(kills):
    with tempfile.TemporaryDirectory() as folder:
        straight, killed = (pathlib.Path(folder, name) for name in ("straight", "killed"))
        with start(straight) as process:
            process.stdout.read()
        fallen = run_killed(killed, kills, random.Random(0))
        differing, values = compare(straight / "final.npz", killed / "final.npz")
        same = (straight / "history.csv").read_text() == (killed / "history.csv").read_text()
    print(
        f"{os.environ.get('KERAS_BACKEND')}: {fallen} kills, {differing} of {values} values "
        f"differ, the same history: {same}"
    )
    sys.exit(int(bool(differing) or not same or fallen < kills))


if __name__ == "__main__":
    if sys.argv[1] == "--train":
        train(pathlib.Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]))
