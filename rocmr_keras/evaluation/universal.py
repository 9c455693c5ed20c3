"""One perturbation for all image queries, learnt on one half of them, measured on the other."""

import numpy as np
from keras import ops

from rocmr_keras.attacks.images.universal_step import UniversalStep
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import encode_inputs
from rocmr_keras.evaluation.encoding.embeddings import load_queries
from rocmr_keras.metrics.summary import damage
from rocmr_keras.metrics.summary import summary

_DIRECTION = "image_to_text"


def universal_perturbation(
    model, split, epsilon, num_passes=20, objective="contrastive", batch_size=64, seed=0, verbose=1
):
    """Learns one change that is added to any image, and reports recall with it.

    An attacker who prints it once needs neither the model nor the image any more. It is learnt
    in signed steps, one for each batch, on a random half of the image queries. The figures are
    those of the other half, which it has not seen. It is weaker than an attack on each image.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split` of at least two image queries.
        epsilon: Float, the largest change of a pixel in units of [0, 1], e.g. `8 / 255`.
        num_passes: Integer, how often the half is gone through. Defaults to `20`.
        objective: String or callable that it maximises. Defaults to `"contrastive"`.
        batch_size: Integer, images of a step. Defaults to `64`.
        seed: Integer, of the halves. Defaults to `0`.
        verbose: `1` for a progress bar of each pass, `0` for none. Defaults to `1`.

    Returns:
        Tuple of the perturbation, float array `(height, width, channels)`, and a report like
        that of `evaluate`, with the attack `"universal"`: its `clean` figures are those of the
        held-out half too.

    Raises:
        ValueError: If the split has fewer than two queries, or a number is out of its range.

    Example:

    ```python
    perturbation, report = universal_perturbation(model, dataset["test"], 8 / 255)
    print(format_report(report))
    ```

    Reference:
        - [Moosavi-Dezfooli et al., 2017](https://arxiv.org/abs/1610.08401)
    """
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    seen, held_out = _halves(encoded.relevance(_DIRECTION).counted, seed)
    shape = load_queries(model, encoded.split, "images", seen[:1])["images"].shape[1:]
    attack = UniversalStep(epsilon, tuple(int(size) for size in shape), seed=seed)
    perturbation, stalled = _learn(encoded, attack, objective, seen, num_passes)
    images = np.asarray(load_queries(model, encoded.split, "images", held_out)["images"])
    changed = np.clip(images + perturbation, 0.0, 1.0)
    queries = np.array(encoded.clean.images)
    queries[held_out] = encode_inputs(model, "images", {"images": changed}, batch_size)
    clean = encoded.rank_clean([_DIRECTION])
    found = {_DIRECTION: encoded.rank(_DIRECTION, queries=queries, only=held_out)}
    run = {
        "budget": {
            "protocol": "universal",
            "num_passes": num_passes,
            "seen": len(seen),
            "objective": getattr(objective, "__name__", objective),
            "image_attack": {"attack": "UniversalStep", **attack.describe()},
            "text_attack": None,
        },
        **summary(found),
        **damage(clean, found),
        "stalled_share": {"images": stalled},
        "clean": summary({_DIRECTION: encoded.rank(_DIRECTION, only=held_out)}),
    }
    counts = {"images": len(encoded.clean.images), "texts": len(encoded.clean.texts)}
    return perturbation, {
        "counts": counts,
        "clean": summary(clean),
        "attacks": {"universal": run},
    }


def _learn(encoded, attack, objective, seen, num_passes):
    searched = encoded.searched(_DIRECTION)
    with encoded.attacker("images", attack, objective, searched) as attacker:
        for _ in range(num_passes):
            attacker.run(seen, keep_inputs=False)
        # Of the attack that was compiled, which may be an earlier one of the same kind.
        own = attacker.encoder.attack
        return np.array(ops.convert_to_numpy(own.perturbation)), own.stalled_share


def _halves(queries, seed):
    if len(queries) < 2:
        raise ValueError(
            "A universal perturbation needs two image queries, one to learn from and one to "
            f"measure. Received: {len(queries)}. Take a larger split."
        )
    drawn = np.random.default_rng(seed).permutation(queries)
    middle = len(drawn) // 2
    return np.sort(drawn[:middle]), np.sort(drawn[middle:])
