import numpy as np

from rocmr_keras.evaluation.auto_attack_stages import auto_attack_budget
from rocmr_keras.evaluation.auto_attack_stages import joint_stages
from rocmr_keras.evaluation.auto_attack_stages import query_stages
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.evaluation.worst_ranks import worse
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.metrics.summary import damage
from rocmr_keras.metrics.summary import summary

# A query is broken, and left alone from then on, when it is not among so many.
_LARGEST_K = 10
_MOST_LISTED = 10


def auto_attack(
    model,
    split,
    epsilon=None,
    num_substitutions=None,
    version="standard",
    batch_size=64,
    verbose=1,
    **options,
):
    """AutoAttack for retrieval: an ensemble of strong attacks, the worst result per query.

    Only the budget is to be chosen. Image queries are attacked by `APGD` on `contrastive` and
    on `margin`, then by `Square`, which needs no gradient; text queries by
    `TokenSubstitution` on both objectives. With both budgets, both sides are attacked too:
    first all captions, then all images against them, and finally each image together with its
    captions, by `Alternating`. Queries whose match is no longer among the first ten are left
    out of later attacks, except where all images and captions are attacked. A query counts as
    right only if it survives all attacks.

    Args:
        model: A `DualEncoder` with a preprocessor, or an `Adapter`.
        split: A `rocmr_keras.data.Split`.
        epsilon: Float, the budget on images in units of [0, 1], or `None` to leave them
            alone. Defaults to `None`.
        num_substitutions: Integer, the budget on texts in tokens, or `None` to leave them
            alone. Defaults to `None`.
        version: `"standard"`, or `"fast"`: fewer steps and no `Square`, for a look during
            development, not for publication. Defaults to `"standard"`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.
        **options: `norm`, `"linf"` (the default) or `"l2"`, of the budget on images; `Square`
            runs within the first only; `seed`, integer, of all attacks, by default `0`.

    Returns:
        A report like that of `evaluate`, whose attacks are `"auto query"` and, with both
        budgets, `"auto both"`; their `stages` say how many queries each attack met and
        how many of them it put out of the first ten. Their `worst` lists, by direction, the
        queries that were right when clean and fell the furthest, at most ten: `query`, its
        position, `rank`, and `stage`, the attack that did it, see `auto_attack_failures`.

    Raises:
        ValueError: If there is no budget, or the version is unknown.

    Example:

    ```python
    report = auto_attack(model, dataset["test"], epsilon=8 / 255, num_substitutions=1)
    print(format_report(report))
    ```

    Reference:
        - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690), AutoAttack
    """
    budget = auto_attack_budget(epsilon, num_substitutions, version=version, **options)
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    clean = encoded.rank_clean(CROSS_MODAL)
    report = {
        "counts": {"images": len(encoded.clean.images), "texts": len(encoded.clean.texts)},
        "clean": summary(clean),
        "attacks": {},
    }
    for protocol, stages in (("query", query_stages(budget)), ("both", joint_stages(budget))):
        if stages:
            worst, counts, stage_of = _run(encoded, clean, protocol, stages)
            report["attacks"][f"auto {protocol}"] = {
                "budget": {"protocol": protocol, **budget},
                **summary(worst),
                **damage(clean, worst),
                "stages": counts,
                "worst": {
                    name: _furthest(clean[name], worst[name], stage_of[name]) for name in worst
                },
            }
    return report


def _run(encoded, clean, protocol, stages):
    """Returns the worst `Ranking` by direction, what each stage did, and who did the worst."""
    worst, counts, stage_of = {}, [], {}
    for name, threat in stages:
        if encoded.verbose:
            print(f"{protocol}, {name}:")
        run = _attack_queries if protocol == "query" else _attack_both
        for direction, ranking, met in run(encoded, threat, {**clean, **worst}):
            before = worst.get(direction, clean[direction])
            after = worst[direction] = worse(before, ranking)
            known = stage_of.get(direction, "")
            # Of equals the earlier stage keeps the query: it has broken it first.
            stage_of[direction] = np.where(after.ranks > before.ranks, name, known)
            broken = _survivors(before).size - _survivors(after).size
            counts.append(
                {"attack": name, "direction": direction, "queries": met, "broken": broken}
            )
    return worst, counts, stage_of


def _furthest(clean, worst, stage_of):
    """Lists the queries that came first when clean and come last now."""
    fallen = np.flatnonzero((clean.ranks == 1) & (worst.ranks > 1))
    # Stable, or equal ranks would be listed in another order on another machine.
    order = fallen[np.argsort(-worst.ranks[fallen], kind="stable")][:_MOST_LISTED]
    return [
        {
            "query": int(worst.queries[place]),
            "rank": int(worst.ranks[place]),
            "stage": str(stage_of[place]),
        }
        for place in order
    ]


def _attack_queries(encoded, threat, worst):
    for direction in CROSS_MODAL:
        queries, items = sides(direction)
        if threat.attack_on(queries) is None:
            continue
        left = _survivors(worst[direction])
        if not left.size:
            yield direction, worst[direction], 0
            continue
        relevance = encoded.relevance(direction).only(left)
        searched = SearchedGallery(encoded.embeddings(items), relevance)
        found, _ = encoded.attack(threat, queries, searched)
        yield direction, encoded.rank(direction, queries=found), left.size


def _attack_both(encoded, threat, worst):
    # Without a schedule all queries search one attacked gallery: none can be left out.
    ids = None
    if threat.protocol.schedule is not None:
        ids = _surviving_ids(encoded, worst)
        if not ids.size:
            yield from ((direction, worst[direction], 0) for direction in CROSS_MODAL)
            return
    result = threat.protocol.run(encoded, threat, ids)
    for direction, ranking in result.rankings.items():
        met = ranking.queries if ids is None else _survivors(worst[direction])
        yield direction, ranking, met.size


def _surviving_ids(encoded, worst):
    """Returns the ids of which an image or a caption still finds its match."""
    images = encoded.clean.image_ids[_survivors(worst["image_to_text"])]
    texts = encoded.clean.text_ids[_survivors(worst["text_to_image"])]
    return np.union1d(images, texts)


def _survivors(ranking):
    return ranking.queries[ranking.ranks <= _LARGEST_K]
