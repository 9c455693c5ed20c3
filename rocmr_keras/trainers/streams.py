"""What Keras's loops read instead of data that knows its epochs.

Such data, `rocmr_keras.data.batches` for one, has a length in steps, `epoch` and
`stream(epoch, step, repeat)`. Keras gets one stream without end and the number of steps:
so it makes no new iterator between epochs, during which a model would wait, and does not
warn that data ran out.
"""


def replace_training_data(arguments, encode_once):
    """Puts streams into the arguments of `fit`.

    Args:
        arguments: Dict of the arguments of `keras.Model.fit`, which is changed.
        encode_once: Function of the data, the first step and the step after the last, both
            counted over epochs, that returns a dict of features for the stream, or an empty
            one.

    Returns:
        Function that is called after training with the number of epochs, and moves the
        data's own count on.
    """
    _replace(arguments, "validation_data", "validation_steps")
    data = arguments.get("x")
    if not hasattr(data, "stream"):
        return lambda epochs: None
    steps = arguments.get("steps_per_epoch") or len(data)
    first = arguments.get("initial_epoch", 0)
    start = first * steps or data.epoch * len(data)
    stop = start + (arguments.get("epochs", 1) - first) * steps
    features = encode_once(data, start, stop)
    options = {"features": features} if features else {}
    stream = data.stream(*divmod(start, len(data)), **options)
    arguments |= {"x": stream, "steps_per_epoch": steps, "shuffle": False}

    def count(epochs):
        data.epoch = (start + epochs * steps) // len(data)

    return count


def replace_data(arguments):
    """Puts a stream into the arguments of `evaluate` or `predict`, which is a dict."""
    _replace(arguments, "x", "steps")


def _replace(arguments, data_name, steps_name):
    # The same epoch every time: figures of two evaluations are then of the same pairs.
    data = arguments.get(data_name)
    if hasattr(data, "stream"):
        arguments[data_name] = data.stream(repeat=True)
        arguments[steps_name] = arguments.get(steps_name) or len(data)
