"""Recall that holds against every change of an image up to a length, by randomised smoothing."""

import statistics

import keras
import numpy as np

from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import clean_encoder
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.metrics.binomial import lower_bound
from rocmr_keras.padded_batches import in_batches

_DIRECTION = "image_to_text"


def certified_recall(
    model, split, sigma=0.25, num_samples=1000, k=1, alpha=0.001, batch_size=64, seed=0, verbose=1
):
    """Certifies image queries of a smoothed model, and draws recall over the l2 radius.

    The smoothed model looks at many copies of an image under Gaussian noise, and says that a
    right text is among the first `k` where it is for more than half of them. From the share
    in a sample follows a length: no change of the image that is shorter in l2, found by
    whatever attack, turns that majority.

    What it certifies is this vote on image queries, against the clean texts. It says nothing of
    the model without noise, of other norms (an l2 ball is tiny in linf), of texts, or of which
    item comes first. It holds for each query by itself with probability `1 - alpha` over the
    draws, and for the images as the noise leaves them, which are not clipped to [0, 1]. A query
    without certificate is not shown to be wrong. A model is worth smoothing if it was trained
    under such noise.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        sigma: Float, standard deviation of the noise in units of [0, 1]. More certifies farther
            and recalls less. Defaults to `0.25`.
        num_samples: Integer, noisy copies of each image; with `n` of them no radius is beyond
            `sigma` times the normal quantile of `alpha ** (1 / n)`. Defaults to `1000`.
        k: Integer, the first items among which a right one must be. Defaults to `1`.
        alpha: Float in (0, 1), the probability that a certificate is wrong. Defaults to `0.001`.
        batch_size: Integer, images encoded at once. Defaults to `64`.
        seed: Integer, of the noise. Defaults to `0`.
        verbose: `1` for a progress bar over the copies, `0` for none. Defaults to `1`.

    Returns:
        Dict with `radius` and `recall`, lists for
        `rocmr_keras.reports.pictures.recall_against_radius`: the share of all queries that are
        certified beyond each radius, the first being 0; `radii`, float array `(queries,)`, 0
        without certificate; `shares`, float array `(queries,)`, of the copies with a right item;
        and `clean_recall`, of the model without noise.

    Raises:
        ValueError: If a number is out of its range.

    Example:

    ```python
    curve = certified_recall(model, dataset["test"], sigma=0.25)
    pictures.recall_against_radius("certified.png", {"rocmr": curve})
    ```

    Reference:
        - [Cohen et al., 2019](https://arxiv.org/abs/1902.02918)
    """
    _check(sigma, num_samples, k, alpha)
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=0)
    found = 0
    bar = keras.utils.Progbar(num_samples, verbose=verbose, unit_name="copy")
    for embeddings in _noisy_copies(encoded, sigma, num_samples, np.random.default_rng(seed)):
        found = found + (encoded.rank(_DIRECTION, queries=embeddings).ranks <= k)
        bar.add(1)
    radii = certified_radii(found, num_samples, sigma, alpha)
    levels = np.linspace(0.0, largest_radius(num_samples, sigma, alpha), 33)
    clean = encoded.rank(_DIRECTION).ranks
    return {
        "radius": levels.tolist(),
        "recall": [float(np.mean(radii > level)) for level in levels],
        "radii": radii,
        "shares": found / num_samples,
        "clean_recall": float(np.mean(clean <= k)),
    }


def certified_radii(counts, num_samples, sigma, alpha):
    """Returns the l2 radius within which a majority stands, 0 where none is certain.

    Args:
        counts: Integer array `(queries,)`, copies of each for which the event came.
        num_samples: Integer.
        sigma: Float.
        alpha: Float.

    Returns:
        Float array `(queries,)`.
    """
    bounds = {count: lower_bound(int(count), num_samples, alpha) for count in np.unique(counts)}
    quantile = statistics.NormalDist().inv_cdf
    radii = {count: sigma * quantile(max(bound, 0.5)) for count, bound in bounds.items()}
    return np.array([radii[count] for count in counts])


def largest_radius(num_samples, sigma, alpha):
    """Returns the radius of a query that is right in all copies."""
    return float(certified_radii(np.array([num_samples]), num_samples, sigma, alpha)[0])


def _noisy_copies(encoded, sigma, num_samples, random):
    """Yields the embeddings of all images of the split, each time under other noise."""
    model, count = encoded.model, len(encoded.clean.images)
    size = min(encoded.batch_size, count)
    with clean_encoder(model, "images", size) as encoder:

        def step(rows):
            images = np.asarray(load_queries(model, encoded.split, "images", rows)["images"])
            noise = sigma * random.standard_normal(images.shape, "float32")
            return encoder.predict_on_batch({"images": images + noise})

        for _ in range(num_samples):
            yield in_batches(step, count, size)["embeddings"]


def _check(sigma, num_samples, k, alpha):
    for name, value in (("num_samples", num_samples), ("k", k)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value!r}. "
                "A thousand copies and `k=1` are usual."
            )
    if not 0 < sigma < float("inf") or not 0 < alpha < 1:
        raise ValueError(
            "`sigma` must be positive and `alpha` in (0, 1). Received: "
            f"sigma={sigma!r}, alpha={alpha!r}. Write e.g. sigma=0.25, alpha=0.001."
        )
