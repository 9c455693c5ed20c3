import keras
from keras import ops

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.checks import check_float_images
from rocmr_keras.attacks.images import corruption_kinds
from rocmr_keras.attacks.images.image_attack import ImageAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Corruption(ImageAttack):
    """One change of a kind that pictures meet without any attacker: light, blur, JPEG, a shift.

    Nothing is searched: it sees neither the model nor what is right, so unlike `PGD` it is no
    worst case of a budget, and a model that withstands attacks in a small ball may well fall to
    it. Evaluation runs it outside of the compiled step. The amounts for severities 1 to 5 are:

    - `"brightness"`: 0.1, 0.2, 0.3, 0.4, 0.5 is added to every pixel; `"darkness"`: subtracted.
    - `"contrast"`: 0.4, 0.3, 0.2, 0.1, 0.05, what is left of the distance from the mean.
    - `"grey"`: 0.2, 0.4, 0.6, 0.8, 1, the way from the colours to grey.
    - `"blur"`: Gaussian, standard deviation 0.4, 0.6, 0.7, 0.8, 1 pixels where an image is 32
      pixels high, in proportion where it is higher.
    - `"noise"`: Gaussian, standard deviation 0.08, 0.12, 0.18, 0.26, 0.38.
    - `"jpeg"`: quality 25, 18, 15, 10, 7.
    - `"shift"`: 2, 4, 6, 8, 10 % of the side, to the right and down.
    - `"rotation"`: 6, 12, 18, 24, 30 degrees.
    - `"zoom"`: into the image by the factor 1.1, 1.15, 1.2, 1.25, 1.3.

    Brightness (there of the value in HSV), contrast, noise and JPEG have the amounts of
    ImageNet-C, blur those of CIFAR-10-C, zoom the largest factors of ImageNet-C's zoom blur. The
    largest shift and rotation are those of Engstrom et al. Darkness is brightness downwards.

    Args:
        kind: String, one of the above.
        severity: Integer from 1 to 5. Defaults to `3`.
        seed: Integer or `None`, of the noise. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, 3)` in [0, 1].
        loss_fn: Ignored; taken so that it stands in for any image attack.

    Returns:
        Float32 tensor like `inputs`, in [0, 1].

    Raises:
        ValueError: If there is no such kind or severity, the inputs are integers, or `"jpeg"`
            is called in a compiled step.
        ImportError: If `"jpeg"` finds no Pillow.

    Reference:
        - [Hendrycks and Dietterich, 2019](https://arxiv.org/abs/1903.12261), ImageNet-C
        - [Engstrom et al., 2019](https://arxiv.org/abs/1712.02779), shift and rotation
    """

    asks_model = False

    def __init__(self, kind, severity=3, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.kind = _check_kind(kind)
        self.severity = _check_severity(severity)
        amount = corruption_kinds.AMOUNTS[kind][severity - 1]
        self._change = corruption_kinds.CHANGES[kind](amount, self.seed_generator)
        self._freeze()

    def call(self, inputs, loss_fn=None):
        inputs = check_float_images(inputs)
        return ops.clip(self._change(inputs), 0.0, 1.0)

    def get_config(self):
        config = super().get_config()
        config.update({"kind": self.kind, "severity": self.severity})
        return config


def corruptions(severity=3, seed=None):
    """Returns a `Corruption` of each kind, to be evaluated like any dict of attacks.

    Args:
        severity: Integer from 1 to 5. Defaults to `3`.
        seed: Integer or `None`. Defaults to `None`.

    Returns:
        Dict from names such as `"blur 3"` to a `Corruption`.

    Example:

    ```python
    report = evaluate(model, dataset["test"], corruptions(severity=3, seed=0))
    ```
    """
    return {
        f"{kind} {severity}": Corruption(kind, severity, seed=seed)
        for kind in corruption_kinds.AMOUNTS
    }


def _check_kind(kind):
    if kind not in corruption_kinds.AMOUNTS:
        raise ValueError(
            f"`kind` must be one of {list(corruption_kinds.AMOUNTS)}. Received: kind={kind!r}. "
            "`corruptions()` makes one of each."
        )
    return kind


def _check_severity(severity):
    check_count("severity", severity)
    if severity > 5:
        raise ValueError(
            f"`severity` must be from 1 to 5. Received: severity={severity}. There is no worse."
        )
    return severity
