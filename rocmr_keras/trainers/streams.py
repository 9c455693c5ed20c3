"""What Keras's loops read instead of data that knows its epochs.

Such data, `rocmr_keras.data.batches` for one, has a length in steps, `epoch`, `step` and
`stream(epoch, step, repeat)`. Keras gets one stream without end and the number of steps:
so it makes no new iterator between epochs, during which a model would wait, and does not
warn that data ran out.
"""


class Stretch:
    """The steps that a `fit` takes, of data of which nothing more is known.

    Attributes:
        passed: Integer, steps at the beginning that were taken before and are passed over.
        resumes_within_epochs: Boolean, whether the data can begin in the middle of an epoch.
    """

    passed = 0
    resumes_within_epochs = False

    def count(self, epochs):
        """Moves the data's own count on by the epochs that training was given."""

    def describe(self, step):
        """Says which step it is, counted from the first one, and of what examples."""
        return f"step {step} of this training, counted from 0"


class StreamStretch(Stretch):
    """The steps that a `fit` takes of data that knows its epochs.

    Args:
        data: The data.
        start: Integer, the first step, counted over epochs of the data.
        steps: Integer, how many of them Keras takes for an epoch.
    """

    def __init__(self, data, start, steps):
        self.data = data
        self.start = start
        self.steps = steps
        self.resumes_within_epochs = steps == len(data)
        self.passed = data.step if self.resumes_within_epochs else 0

    def count(self, epochs):
        self.data.step = 0
        self.data.epoch = (self.start + epochs * self.steps) // len(self.data)

    def describe(self, step):
        place = divmod(self.start + step, len(self.data))
        ids = self.data.image_ids_at(*place).tolist()
        return f"step {place[1]} of epoch {place[0]}, counted from 0, image_ids={ids}"


def replace_training_data(arguments, encode_once):
    """Puts streams into the arguments of `fit`.

    Args:
        arguments: Dict of the arguments of `keras.Model.fit`, which is changed.
        encode_once: Function of the data, the first step and the step after the last, both
            counted over epochs, that returns a dict of features for the stream, or an empty
            one.

    Returns:
        A `Stretch`, the steps that `fit` will take.
    """
    _replace(arguments, "validation_data", "validation_steps")
    data = arguments.get("x")
    if not hasattr(data, "stream"):
        return Stretch()
    steps = arguments.get("steps_per_epoch") or len(data)
    first = arguments.get("initial_epoch", 0)
    start = first * steps or data.epoch * len(data)
    stop = start + (arguments.get("epochs", 1) - first) * steps
    # Encoded as by a run that was not interrupted, so that the last bits are the same.
    features = encode_once(data, 0 if first else start, stop)
    options = {"features": features} if features else {}
    stream = data.stream(*divmod(start, len(data)), **options)
    arguments |= {"x": stream, "steps_per_epoch": steps, "shuffle": False}
    return StreamStretch(data, start, steps)


def replace_data(arguments):
    """Puts a stream into the arguments of `evaluate` or `predict`, which is a dict."""
    _replace(arguments, "x", "steps")


def _replace(arguments, data_name, steps_name):
    # The same epoch every time: figures of two evaluations are then of the same pairs.
    data = arguments.get(data_name)
    if hasattr(data, "stream"):
        arguments[data_name] = data.stream(repeat=True)
        arguments[steps_name] = arguments.get(steps_name) or len(data)
