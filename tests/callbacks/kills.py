r"""Kills a run at random points, again and again, and compares what it ends in.

    KERAS_BACKEND=tensorflow python tests/callbacks/kills.py 20

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
import resume_test

import rocmr_keras as rk

EPOCHS, STEPS = 8, 8


def train(pack, folder, tell):
    """Trains from the newest state on; tells where it begins, and each step."""
    held = rk.files.lock_folder(folder)
    trainer = resume_test.make_trainer(EPOCHS * STEPS, num_layers=1, num_heads=2, dropout=0.1)
    packed = rk.data.open_pack(pack)
    data = resume_test.make_data(packed)
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
    validation = resume_test.make_data(packed, seed=1)
    options = {"validation_data": validation, "validation_steps": 2, "verbose": 0}
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
        finish(*start(lambda folder, tell: resume_test.make_pack(32, folder), pack))
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
