import os

import numpy as np

from rocmr_keras.data.epoch_order import EpochOrder
from rocmr_keras.data.images import read_image
from rocmr_keras.data.images import to_float
from rocmr_keras.data.preprocessors.base_preprocessor import encode
from rocmr_keras.data.runtime import tensorflow
from rocmr_keras.data.text_candidates import candidate_maker


def batches(
    split,
    preprocessor,
    batch_size,
    shuffle=True,
    seed=0,
    captions="one",
    augment=None,
    cache=True,
    drop_remainder=False,
    initial_epoch=0,
    edits=None,
):
    """Streams a split as batch dicts that `fit` of every backend takes.

    The order and the captions of epoch `k` are a function of `(seed, k)`
    alone: the same on every backend and on every run. An epoch is over when
    its last batch has been handed out; whoever stops earlier gets the same
    epoch again. Files are decoded in parallel when the first batch is asked for.

    Args:
        split: `rocmr_keras.data.Split`.
        preprocessor: `rocmr_keras.data.Preprocessor`.
        batch_size: Integer, examples per batch.
        shuffle: Boolean, whether each epoch has an order of its own. Defaults to
            `True`.
        seed: Integer. Defaults to `0`.
        captions: `"one"`: an epoch has each image once, with one of its captions
            drawn anew; `"all"`: an epoch has every pair of an image and a caption
            of its. Defaults to `"one"`.
        augment: Callable that maps float images `(B, H, W, 3)` in `[0, 1]` to the
            same: a Keras augmentation layer, several in a `keras.layers.Pipeline`, or
            `rocmr_keras.data.RandomShift`. It runs inside `tf.data`; the result is
            clipped to the range. Defaults to `None`.
        cache: Boolean, whether decoded images stay in memory, as uint8. Without
            it files are decoded every epoch. Defaults to `True`.
        drop_remainder: Boolean, whether to leave out a last, smaller batch.
            Defaults to `False`.
        initial_epoch: Integer, the epoch that the first iteration yields: set it to
            go on as an interrupted run would have. Defaults to `0`.
        edits: Callable that edits a caption, `rocmr_keras.attacks.CharacterDraws`, for an
            attack that chooses among what it gave. All of it is tokenised: at its
            defaults 72 texts for each caption. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of known length. Its dicts hold `images` float32
        `(B, H, W, 3)` in `[0, 1]`, `token_ids` int32 `(B, L)`, `padding_mask` bool
        `(B, L)` and `image_ids` int32 `(B,)`, equal ids being positives of each
        other; with `edits` also `candidate_token_ids` and `candidate_padding_mask`,
        `(B, *edits.shape, L)`.

    Raises:
        ValueError: If `captions` is unknown, or there is no whole batch.

    Example:

    ```python
    dataset = rocmr_keras.data.batches(splits["train"], preprocessor, batch_size=128)
    trainer.fit(dataset, epochs=20, shuffle=False)  # it is shuffled already
    ```
    """
    tf = tensorflow()
    order = EpochOrder(split, captions, shuffle, seed)
    steps = _count_steps(len(order), batch_size, drop_remainder)
    with tf.device("cpu"):
        epoch = tf.Variable(initial_epoch, dtype="int64", trainable=False)
        read = _read_cached if cache else _read_afresh
        dataset = read(split, preprocessor, _orders(order, epoch), batch_size, drop_remainder)
        dataset = dataset.map(
            _finisher(split, preprocessor, edits), num_parallel_calls=tf.data.AUTOTUNE
        )
        if augment is not None:
            # One at a time: a seed that advances in parallel is not reproducible.
            dataset = dataset.prefetch(2).map(_augmenter(augment))
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
        dataset = _count_epochs(dataset, epoch, steps)
        return dataset.apply(tf.data.experimental.assert_cardinality(steps))


def _count_steps(examples, batch_size, drop_remainder):
    if batch_size < 1 or examples < (batch_size if drop_remainder else 1):
        raise ValueError(
            "`batch_size` must be positive and, where `drop_remainder=True`, at most the number of "
            f"examples. Received: batch_size={batch_size}, {examples} examples. "
            "Change it, or keep the remainder."
        )
    return examples // batch_size if drop_remainder else -(-examples // batch_size)


def _orders(order, epoch):
    # One element: the rows (image index, caption index, epoch) of the epoch that begins.
    tf = tensorflow()

    def rows_of(_):
        number = epoch.read_value()
        rows = tf.numpy_function(lambda k: order(int(k)), [number], "int32")
        rows = tf.ensure_shape(rows, [len(order), 2])
        return tf.pad(rows, [[0, 0], [0, 1]], constant_values=tf.cast(number, "int32"))

    return tf.data.Dataset.range(1).map(rows_of)


def _read_cached(split, preprocessor, orders, batch_size, drop_remainder):
    # All pixels are ONE element of a cached dataset, from which the batches of
    # an epoch are gathered in any order without a second copy.
    tf = tensorflow()
    images = tf.data.Dataset.from_tensor_slices(_sources(split))
    images = images.map(_loader(preprocessor), num_parallel_calls=tf.data.AUTOTUNE)
    images = _whole(images.batch(len(split)))
    image_ids = tf.constant(split.image_ids)

    def gather(images, tokens, rows):
        rows = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size, drop_remainder)
        return rows.map(
            lambda row: {
                "images": tf.gather(images, row[:, 0]),
                **_gather_tokens(tokens, row),
                "image_ids": tf.gather(image_ids, row[:, 0]),
            }
        )

    return tf.data.Dataset.zip(images, _tokens(split, preprocessor), orders).flat_map(gather)


def _read_afresh(split, preprocessor, orders, batch_size, drop_remainder):
    tf = tensorflow()
    load = _loader(preprocessor)
    sources, image_ids = tf.constant(_sources(split)), tf.constant(split.image_ids)

    def gather(tokens, rows):
        rows = tf.data.Dataset.from_tensor_slices(rows)
        return rows.map(lambda row: (row[0], _gather_tokens(tokens, row)))

    def read(index, tokens):
        return {"images": load(sources[index]), **tokens, "image_ids": image_ids[index]}

    dataset = tf.data.Dataset.zip(_tokens(split, preprocessor), orders).flat_map(gather)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size, drop_remainder)


def _sources(split):
    if isinstance(split.images, np.ndarray):
        return split.images
    return [os.fsencode(path) for path in split.images]


def _loader(preprocessor):
    tf = tensorflow()

    def load(source):
        if source.dtype == tf.string:
            # In Python, for only there can a failure be caught and the file named.
            source = tf.numpy_function(_read_named, [source], "uint8")
            source = tf.ensure_shape(source, [None, None, 3])
        return preprocessor.resize_graph(source)

    return load


def _read_named(path):
    return read_image(os.fsdecode(path))


def _tokens(split, preprocessor):
    # Captions are tokenised once and for all: ids take less room than strings.
    tf = tensorflow()
    texts = tf.data.Dataset.from_tensor_slices(encode(split.captions)).batch(1024)
    tokens = texts.map(preprocessor.tokenize_graph, num_parallel_calls=tf.data.AUTOTUNE)
    return _whole(tokens.rebatch(len(split.captions)))


def _whole(dataset):
    # The prefetch asks for the end at once: a cache not read to its end is lost.
    return dataset.cache().prefetch(2)


def _gather_tokens(tokens, row):
    tf = tensorflow()
    found = {name: tf.gather(value, row[..., 1]) for name, value in tokens.items()}
    return {**found, "rows": row}


def _finisher(split, preprocessor, edits):
    make = (lambda rows: {}) if edits is None else candidate_maker(split, preprocessor, edits)

    def finish(batch):
        found = make(batch.pop("rows"))
        return {**batch, "images": to_float(batch["images"]), **found}

    return finish


def _augmenter(augment):
    tf = tensorflow()

    def apply(batch):
        images = tf.ensure_shape(augment(batch["images"]), batch["images"].shape)
        return {**batch, "images": tf.clip_by_value(images, 0.0, 1.0)}

    return apply


def _count_epochs(dataset, epoch, steps):
    # Counted where batches leave the pipeline: what was only fetched ahead, or
    # looked at to build a model, does not make an epoch.
    tf = tensorflow()

    def count(step, batch):
        with tf.control_dependencies([epoch.assign_add(tf.cast(step == steps - 1, "int64"))]):
            return {name: tf.identity(value) for name, value in batch.items()}

    # TensorFlow would add a prefetch of its own behind the counting.
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return dataset.enumerate().map(count).with_options(options)
