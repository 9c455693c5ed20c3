"""Parts of each batch, one for each process that trains."""


def check_shard(shard, examples, batch_size, augment=None):
    """Refuses a shard that does not exist, or that is not as large as the others.

    Args:
        shard: Tuple of integers `(index, count)`.
        examples: Integer, the examples of an epoch that are used.
        batch_size: Integer, of all shards together.
        augment: As in `rocmr_keras.data.batches`. Defaults to `None`.

    Raises:
        ValueError: If there is no such shard, a batch cannot be divided evenly, or what is
            drawn for an image would depend on the others that are read.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(
            "`shard` must be `(index, count)` with an index from 0 to `count - 1`. Received: "
            f"shard={shard}. Number the processes from 0 on."
        )
    if batch_size % count or examples % batch_size % count:
        raise ValueError(
            "Every batch must be divisible into equal shards. Received: "
            f"shard={shard}, batch_size={batch_size}, a last batch of {examples % batch_size}. "
            "Choose a `batch_size` divisible by the count, and `drop_remainder=True`."
        )
    if count > 1 and augment is not None and not hasattr(augment, "apply_at"):
        raise ValueError(
            "With shards, `augment` must draw by the place in the epoch, or the shards would "
            f"not be those of one batch. Received: shard={shard}, augment={augment}. Use "
            "`RandomShift`, or a class of your own with `apply_at(images, epoch, position)`."
        )
