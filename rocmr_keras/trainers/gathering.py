"""A batch of several devices: what is compared is gathered, what is attacked stays."""

from keras import ops

from rocmr_keras.backend import across_devices
from rocmr_keras.backend import gather
from rocmr_keras.backend import replicas


class StepsAcrossDevices:
    """Mixin before `AdversarialSteps`: a step is one of several devices that train together."""

    spans_devices = True

    def train_step(self, *arguments):
        with across_devices():
            return super().train_step(*arguments)

    def test_step(self, *arguments):
        with across_devices():
            return super().test_step(*arguments)

    def predict_step(self, *arguments):
        with across_devices():
            return super().predict_step(*arguments)


def identities(batch):
    """Returns the ids `(batch,)` of pairs: those given, else a number for each of all devices."""
    if "image_ids" in batch:
        return batch["image_ids"]
    count = ops.shape(batch["token_ids"])[0]
    return replicas(count)[1] + ops.arange(count)


def gather_embeddings(batch, views):
    """Returns what the loss and the metrics compare, of all devices.

    Args:
        batch: Dict, the perturbed batch.
        views: Dict of float tensors `(batch, dim)`.

    Returns:
        Tuple of the ids of the pairs, shape `(batch of all,)`, and a dict of the views, and of
        the clean and the reference embeddings of the batch, `(batch of all, dim)`.
    """
    compared = {
        name: value for name, value in batch.items() if name.startswith(("clean_", "reference_"))
    }
    gathered = {name: gather(value) for name, value in {**compared, **views}.items()}
    return gather(identities(batch)), gathered


def mean_of_all(tracker):
    """Returns the mean that a `keras.metrics.Mean` keeps, over the examples of all devices.

    Replicas of TensorFlow keep one each, and a last batch may give them unequal numbers of rows.
    """
    # Products are tensors: a variable that is summed over replicas cannot be converted as it is.
    here = ops.stack([each * 1.0 for each in (tracker.total, tracker.count)])
    everywhere = ops.sum(gather(ops.expand_dims(here, 0)), axis=0)
    return everywhere[0] / everywhere[1]
