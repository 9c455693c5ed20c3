import dataclasses

from rocmr_keras.attacks.checks import check_count


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """The noise of randomised smoothing, and how sure `certified_recall` is to be.

    Args:
        sigma: Float, standard deviation of the noise in units of [0, 1]. More certifies farther
            and recalls less. Defaults to `0.25`.
        num_samples: Integer, noisy copies of each image; with `n` of them no radius is beyond
            `sigma` times the normal quantile of `alpha ** (1 / n)`. Defaults to `1000`.
        alpha: Float in (0, 1), the probability that a certificate is wrong. Defaults to `0.001`.
        seed: Integer, of the noise. Defaults to `0`.

    Raises:
        ValueError: If a number is out of its range.
    """

    sigma: float = 0.25
    num_samples: int = 1000
    alpha: float = 0.001
    seed: int = 0

    def __post_init__(self):
        check_count("num_samples", self.num_samples)
        if not 0 < self.sigma < float("inf") or not 0 < self.alpha < 1:
            raise ValueError(
                "`sigma` must be positive and `alpha` in (0, 1). Received: "
                f"sigma={self.sigma!r}, alpha={self.alpha!r}. Write e.g. sigma=0.25, alpha=0.001."
            )
