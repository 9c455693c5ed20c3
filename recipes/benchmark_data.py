"""What `benchmark.py --what=data` measures: data that is read once, and evaluation of it."""

import os
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import rocmr_keras as rk

_WORDS = ("a", "red", "green", "small", "large", "dog", "cat", "house", "tree", "boat")


class Watch(keras.callbacks.Callback):
    """Makes every step take longer, and notes how long the first one of an epoch waited."""

    def __init__(self, pause):
        super().__init__()
        self.pause, self.firsts, self.others = pause, [], []

    def on_epoch_begin(self, epoch, logs=None):
        self._start, self._is_first = time.perf_counter(), True

    def on_train_batch_end(self, batch, logs=None):
        taken = time.perf_counter() - self._start
        (self.firsts if self._is_first else self.others).append(taken)
        time.sleep(self.pause)
        self._start, self._is_first = time.perf_counter(), False


def table(model, batch_size):
    """Returns the figures as a table, CPU time but for the waiting."""
    with tempfile.TemporaryDirectory() as folder:
        photos = _photos(folder, 512)
        plain, packing = _decode(model, photos, folder)
        reading = _read(model, photos, folder, batch_size)
    split = _pixels(model, 1000)
    first, again, passes = _evaluate(model, split, batch_size)
    rows = {
        "waiting at the start of an epoch, s": _wait(model, split, batch_size),
        "decoding while packing / plain tf.data": packing / plain,
        "reading packs / decoding": reading / packing,
        "evaluation of 1,000 x 5,000, clean, the second of a model / its forward passes": (
            again / passes
        ),
        "the first one, which packs and compiles / the same passes": first / passes,
    }
    lines = [f"| {name} | {value:.2f} |" for name, value in rows.items()]
    rates = f"plain {plain:.0f}, packing {packing:.0f}, reading {reading:.0f} images a CPU second"
    head = f"| data, {keras.config.backend()} | |\n|---|---|\n"
    return head + "\n".join(lines) + f"\n{rates}"


def _rate(function, count):
    return count / _seconds(function)


def _photos(folder, count):
    """Writes JPEG files of 500 x 375 pixels, smooth as photographs are."""
    draw, paths = np.random.default_rng(0), []
    for index in range(count):
        small = Image.fromarray(draw.integers(0, 256, (24, 32, 3), "uint8"))
        paths.append(os.path.join(folder, f"{index}.jpg"))
        small.resize((500, 375), Image.BICUBIC).save(paths[-1], quality=90)
    return _split(paths)


def _pixels(model, count):
    size = (count, *model.preprocessor.image_size, 3)
    return _split(np.random.default_rng(0).integers(0, 256, size, "uint8"))


def _split(images):
    draw, ids = np.random.default_rng(1), np.arange(len(images))
    captions = [" ".join(draw.choice(_WORDS, 8)) for _ in range(5 * len(images))]
    return rk.data.Split(images, ids, captions, np.repeat(ids, 5))


def _decode(model, photos, folder):
    """Returns images a second of plain `tf.data` and of packs on disk, in turn."""
    split = rk.data.Split(
        photos.images, photos.image_ids, ["a dog"] * len(photos), photos.image_ids
    )
    dataset = _plain_dataset(model, photos)
    # Tracing is paid once, and captions are no part of the comparison.
    rk.data.pack(split.subset(8), model.preprocessor, os.path.join(folder, "few"), verbose=0)
    plain, packing = [], []
    for turn in range(11):
        path = os.path.join(folder, f"pack-{turn}")
        plain.append(_seconds(lambda: [None for _ in dataset]))
        packing.append(_seconds(lambda: rk.data.pack(split, model.preprocessor, path, verbose=0)))
    return len(split) / np.median(plain), len(split) / np.median(packing)


def _plain_dataset(model, split):
    size = model.preprocessor.image_size

    def decode(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.cast(tf.image.resize(image, size, antialias=True), "uint8")

    paths = tf.data.Dataset.from_tensor_slices(split.images)
    return paths.map(decode, tf.data.AUTOTUNE).batch(64)


def _read(model, split, folder, batch_size):
    packed = rk.data.open_pack(os.path.join(folder, "pack-0"))
    dataset = rk.data.batches(packed, batch_size=batch_size)
    epochs = 20
    return _rate(lambda: [list(dataset) for _ in range(epochs)], epochs * len(split))


def _wait(model, split, batch_size):
    trainer, watch = rk.RoCMR(model, terms="standard"), Watch(0.3)
    trainer.compile(keras.optimizers.SGD(0.0))
    data = rk.data.batches(split.subset(8 * batch_size), model.preprocessor, batch_size)
    trainer.fit(data, epochs=5, callbacks=[watch], verbose=0)
    return max(watch.firsts[1:]) - float(np.median(watch.others))


def _evaluate(model, split, batch_size):
    """Returns the CPU seconds of a first and a later evaluation, and of their forward passes.

    The passes are compiled before, read pixels and tokens that are ready, and are those of
    whole batches: what a last, smaller batch takes is counted by its share of one.
    """
    first = _seconds(lambda: _report(model, split, batch_size))
    packed = rk.data.pack(split, model.preprocessor)
    inputs = {"images": {"images": packed.images / np.float32(255)}, "texts": packed.tokens}
    encoders = {side: rk.attacks.QueryEncoder(model, side) for side in inputs}
    batches = {side: _whole_batches(arrays, batch_size) for side, arrays in inputs.items()}
    counts = {"images": len(packed), "texts": len(packed.captions)}

    def encode(side):
        for batch in batches[side]:
            encoders[side].predict_on_batch(batch)

    times = {name: [] for name in (*inputs, "evaluation")}
    for _ in range(21):
        for side in inputs:
            scale = counts[side] / (batch_size * len(batches[side]))
            times[side].append(scale * _seconds(lambda: encode(side)))
        times["evaluation"].append(_seconds(lambda: _report(model, split, batch_size)))
    # The first round compiles.
    images, texts, again = (np.array(values[1:]) for values in times.values())
    return first, np.median(again), np.median(images + texts)


def _report(model, split, batch_size):
    return rk.evaluation.evaluate(model, split, batch_size=batch_size, verbose=0)


def _whole_batches(arrays, batch_size):
    count = len(next(iter(arrays.values())))
    starts = range(0, count - batch_size + 1, batch_size)
    return [{name: x[i : i + batch_size] for name, x in arrays.items()} for i in starts]


def _seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start
