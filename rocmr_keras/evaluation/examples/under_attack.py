import numpy as np

from rocmr_keras.attacks.checks import QUERY_KEYS
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.evaluation.examples.at_random import attacked_captions
from rocmr_keras.evaluation.examples.at_random import check_writes_text
from rocmr_keras.evaluation.examples.at_random import first_results
from rocmr_keras.evaluation.examples.at_random import queries_and_gallery
from rocmr_keras.metrics.ranks import query_ranks

_LAST_ANSWERED = 5


def rows_under_attack(models, split, image_attack, text_attack, count=4, seed=0, verbose=0):
    """Draws queries that all models answer, and shows what each finds when it is attacked.

    Only queries whose right item is among the first five of every model are drawn: an attack on
    a query that is not answered anyway would show nothing. Each model is attacked by itself,
    the gallery is clean.

    Args:
        models: Dict from a name to a `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack` or a `StringAttack`.
        count: Integer, queries: half of them images, the rest captions, fewer if not as many are
            answered. Defaults to `4`.
        seed: Integer, of the draw. Defaults to `0`.
        verbose: `1` for progress bars. Defaults to `0`.

    Returns:
        Rows for `rocmr_keras.reports.pictures.retrieval_sheet`, for each query one of each model.

    Raises:
        ValueError: If an attack does not fit its side, that of texts writes none, there is no
            model, or no query is answered by all.

    Example:

    ```python
    models = {"standard": standard, "rocmr": robust}
    rows = rows_under_attack(models, test, PGD(4 / 255), HumanEdits())
    pictures.retrieval_sheet("attacked.png", rows)
    ```
    """
    check_attack("image_attack", image_attack, "images", batch_keys=QUERY_KEYS)
    check_writes_text(text_attack)
    if not models:
        raise ValueError(
            "`models` must be a dict of one model or more. Received: an empty one. Pass for "
            "example {'standard': model, 'rocmr': robust}."
        )
    encoded = {name: EncodedSplit(model, split, verbose=verbose) for name, model in models.items()}
    rng, rows = np.random.default_rng(seed), []
    for modality, attack, few in (
        ("images", image_attack, count // 2),
        ("texts", text_attack, count - count // 2),
    ):
        queries = _answered_by_all(encoded, modality, few, rng)
        if len(queries):
            shown = [
                _rows(name, one, split, modality, attack, queries) for name, one in encoded.items()
            ]
            # Beside each other stands what the models make of one query.
            rows += [row for of_one_query in zip(*shown) for row in of_one_query]
    if not rows:
        raise ValueError(
            f"No query has its right item among the first {_LAST_ANSWERED} on every model. "
            f"Received: models {list(models)}. Train them longer, or compare them by figures."
        )
    return rows


def _answered_by_all(encoded, modality, count, rng):
    ranks = [_clean_ranks(one, modality) for one in encoded.values()]
    answered = np.flatnonzero(np.max(ranks, axis=0) <= _LAST_ANSWERED)
    return np.sort(rng.permutation(answered)[:count])


def _clean_ranks(encoded, modality):
    queries, query_ids, gallery, gallery_ids = queries_and_gallery(encoded.clean, modality)
    return query_ranks(queries, gallery, query_ids, gallery_ids)


def _rows(name, encoded, split, modality, attack, queries):
    found = encode_attacked(encoded, modality, attack, queries=queries)
    before = _clean_ranks(encoded, modality)[queries]
    scene = encoded.model, split, encoded.clean
    return [
        {
            **shown,
            **first_results(*scene, modality, index, found["embeddings"][place]),
            "label": f"{name}, attacked",
            "rank_before": int(before[place]),
        }
        for place, (index, shown) in enumerate(
            zip(queries, _shown(encoded.model, split, queries, found))
        )
    ]


def _shown(model, split, queries, found):
    """Returns the attacked queries as they are drawn."""
    if "adversarial_images" in found:
        return [{"query": image} for image in found["adversarial_images"]]
    pairs = attacked_captions(model, split, queries, found)
    return [{"query": after, "query_before": before} for before, after in pairs]
