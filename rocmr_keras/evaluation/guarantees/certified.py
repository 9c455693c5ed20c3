"""Recall that holds against every change of an image up to a length, by randomised smoothing."""

import statistics

import keras
import numpy as np

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import clean_encoder
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.evaluation.guarantees.smoothing import Smoothing
from rocmr_keras.metrics.binomial import lower_bound
from rocmr_keras.padded_batches import in_batches

_DIRECTION = "image_to_text"


def certified_recall(model, split, smoothing=None, k=1, batch_size=64, verbose=1):
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
        smoothing: `Smoothing`, the noise, the number of copies and how sure a certificate is;
            `None` for its defaults. Defaults to `None`.
        k: Integer, the first items among which a right one must be. Defaults to `1`.
        batch_size: Integer, images encoded at once. Defaults to `64`.
        verbose: `1` for a progress bar over the copies, `0` for none. Defaults to `1`.

    Returns:
        Dict with `radius` and `recall`, lists for
        `rocmr_keras.reports.pictures.recall_against_radius`: the share of all queries that are
        certified beyond each radius, the first being 0; `radii`, float array `(queries,)`, 0
        without certificate; `shares`, float array `(queries,)`, of the copies with a right item;
        and `clean_recall`, of the model without noise.

    Raises:
        ValueError: If `smoothing` is no `Smoothing`, or `k` not positive.

    Example:

    ```python
    curve = certified_recall(model, dataset["test"], Smoothing(sigma=0.25))
    pictures.recall_against_radius("certified.png", {"rocmr": curve})
    ```

    Reference:
        - [Cohen et al., 2019](https://arxiv.org/abs/1902.02918)
    """
    smoothing = _as_smoothing(smoothing)
    check_count("k", k)
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=0)
    found = 0
    bar = keras.utils.Progbar(smoothing.num_samples, verbose=verbose, unit_name="copy")
    for embeddings in _noisy_copies(encoded, smoothing):
        found = found + (encoded.rank(_DIRECTION, queries=embeddings).ranks <= k)
        bar.add(1)
    radii = certified_radii(found, smoothing)
    levels = np.linspace(0.0, largest_radius(smoothing), 33)
    clean = encoded.rank(_DIRECTION).ranks
    return {
        "radius": levels.tolist(),
        "recall": [float(np.mean(radii > level)) for level in levels],
        "radii": radii,
        "shares": found / smoothing.num_samples,
        "clean_recall": float(np.mean(clean <= k)),
    }


def certified_radii(counts, smoothing):
    """Returns the l2 radius within which a majority stands, 0 where none is certain.

    Args:
        counts: Integer array `(queries,)`, copies of each for which the event came.
        smoothing: `Smoothing`.

    Returns:
        Float array `(queries,)`.
    """
    quantile = statistics.NormalDist().inv_cdf
    radii = {}
    for count in np.unique(counts):
        bound = lower_bound(int(count), smoothing.num_samples, smoothing.alpha)
        radii[count] = smoothing.sigma * quantile(max(bound, 0.5))
    return np.array([radii[count] for count in counts])


def largest_radius(smoothing):
    """Returns the radius of a query that is right in all copies."""
    return float(certified_radii(np.array([smoothing.num_samples]), smoothing)[0])


def _noisy_copies(encoded, smoothing):
    """Yields the embeddings of all images of the split, each time under other noise."""
    model, count = encoded.model, len(encoded.clean.images)
    size = min(encoded.batch_size, count)
    random = np.random.default_rng(smoothing.seed)
    with clean_encoder(model, "images", size) as encoder:

        def step(rows):
            images = np.asarray(load_queries(model, encoded.split, "images", rows)["images"])
            noise = smoothing.sigma * random.standard_normal(images.shape, "float32")
            return encoder.predict_on_batch({"images": images + noise})

        for _ in range(smoothing.num_samples):
            yield in_batches(step, count, size)["embeddings"]


def _as_smoothing(smoothing):
    if smoothing is None:
        return Smoothing()
    if not isinstance(smoothing, Smoothing):
        raise ValueError(
            f"`smoothing` must be a `Smoothing`. Received: smoothing={smoothing!r}. Write e.g. "
            "Smoothing(sigma=0.25, num_samples=1000)."
        )
    return smoothing
