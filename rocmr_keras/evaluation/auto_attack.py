import numpy as np

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation.encoded_split import Bench
from rocmr_keras.evaluation.protocols import Both
from rocmr_keras.evaluation.threat import Threat
from rocmr_keras.evaluation.worst_case import worse
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.metrics.summary import damage
from rocmr_keras.metrics.summary import summary

#: Gradient steps, queries of the random search and candidates of a substitution.
VERSIONS = {
    "standard": {"num_steps": 100, "num_queries": 1000, "num_candidates": 128},
    "fast": {"num_steps": 20, "num_queries": 0, "num_candidates": 32},
}

# A query is broken, and left alone from then on, when it is not among so many.
_LARGEST_K = 10
_MOST_LISTED = 10


def auto_attack(
    model,
    split,
    epsilon=None,
    num_substitutions=None,
    norm="linf",
    version="standard",
    batch_size=64,
    seed=0,
    verbose=1,
):
    """Retrieval's AutoAttack: several strong attacks in one call, the worst of them per query.

    There is nothing to tune but the budget. Image queries face `APGD` on `contrastive`, then on
    `margin`, then `Square`, which needs no gradient; text queries face `TokenSubstitution` on
    both objectives; with both budgets, image and text are also attacked together: captions, then
    images against them, and the joint `Alternating`. All but the attack on whole galleries runs
    on queries that are still right (`Alternating` on each image and its captions of which one
    is), and a query counts as right only if it survives them all.

    Args:
        model: A `DualEncoder` with a preprocessor, or an `Adapter`.
        split: A `rocmr_keras.data.Split`.
        epsilon: Float, the budget on images in units of [0, 1], or `None` to leave them
            alone. Defaults to `None`.
        num_substitutions: Int, the budget on texts in tokens, or `None` to leave them
            alone. Defaults to `None`.
        norm: `"linf"` or `"l2"`. `Square` runs within the first only. Defaults to `"linf"`.
        version: `"standard"`, or `"fast"`: fewer steps and no `Square`, for a look during
            development, not for publication. Defaults to `"standard"`.
        batch_size: Int. Defaults to `64`.
        seed: Int, of all attacks. Defaults to `0`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

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
        Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of
        diverse parameter-free attacks" (AutoAttack), 2020 (arXiv:2003.01690).
    """
    _check(epsilon, num_substitutions, version)
    bench = Bench(model, split, batch_size=batch_size, verbose=verbose)
    clean = bench.rank_clean(CROSS_MODAL)
    report = {
        "counts": {"images": len(bench.clean.images), "texts": len(bench.clean.texts)},
        "clean": summary(clean),
        "attacks": {},
    }
    budget = {
        "attack": f"AutoAttack {version}",
        **VERSIONS[version],
        "epsilon": epsilon,
        "norm": norm,
        "num_substitutions": num_substitutions,
        "seed": seed,
    }
    for protocol, stages in (("query", query_stages(budget)), ("both", joint_stages(budget))):
        if stages:
            worst, counts, stage_of = _run(bench, clean, protocol, stages, verbose)
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


def query_stages(budget):
    """Returns the attacks on a query alone.

    Args:
        budget: Dict with the entries of a version, `epsilon` and `num_substitutions`, each
            perhaps `None`, `norm` and `seed`; the budget of an `auto_attack` has them all.

    Returns:
        List of tuples of a name and a `Threat`, in the order in which they are run.
    """
    epsilon, norm, seed = budget["epsilon"], budget["norm"], budget["seed"]
    stages = []
    for objective in ("contrastive", "margin"):
        if epsilon is not None:
            apgd = APGD(epsilon, budget["num_steps"], norm, seed=seed)
            stages.append((f"APGD, {objective}", Threat(apgd, objective=objective)))
        if budget["num_substitutions"] is not None:
            threat = Threat(text_attack=_search(budget), objective=objective)
            stages.append((f"substitution, {objective}", threat))
    if epsilon is not None and norm == "linf" and budget["num_queries"]:
        square = Square(epsilon, budget["num_queries"], seed=seed)
        stages.append(("Square, margin", Threat(square, objective="margin")))
    return stages


def joint_stages(budget):
    """Returns the attacks on both sides, as `query_stages` does; none without both budgets."""
    if budget["epsilon"] is None or budget["num_substitutions"] is None:
        return []
    apgd = APGD(budget["epsilon"], budget["num_steps"], budget["norm"], seed=budget["seed"])
    search = _search(budget)
    # The first knows the attacked gallery, the second the own captions of each image.
    return [
        ("one after the other", Threat(apgd, search, protocol=Both())),
        ("alternating", Threat(apgd, search, protocol=Both("alternating"))),
    ]


def _search(budget):
    num_substitutions = budget["num_substitutions"]
    return TokenSubstitution(
        num_substitutions,
        budget["num_candidates"],
        seed=budget["seed"],
        beam_size=1 if num_substitutions == 1 else 4,
    )


def _run(bench, clean, protocol, stages, verbose):
    """Returns the worst `Ranking` by direction, what each stage did, and who did the worst."""
    worst, counts, stage_of = {}, [], {}
    for name, threat in stages:
        if verbose:
            print(f"{protocol}, {name}:")
        run = _attack_queries if protocol == "query" else _attack_both
        for direction, ranking, met in run(bench, threat, {**clean, **worst}):
            before = worst.get(direction, clean[direction])
            after = worst[direction] = worse(before, ranking)
            known = stage_of.get(direction, "")
            stage_of[direction] = np.where(after.ranks > before.ranks, name, known)
            broken = _survivors(before).size - _survivors(after).size
            counts.append(
                {"attack": name, "direction": direction, "queries": met, "broken": broken}
            )
    return worst, counts, stage_of


def _furthest(clean, worst, stage_of):
    """Lists the queries that came first when clean and come last now."""
    fallen = np.flatnonzero((clean.ranks == 1) & (worst.ranks > 1))
    order = fallen[np.argsort(-worst.ranks[fallen], kind="stable")][:_MOST_LISTED]
    return [
        {
            "query": int(worst.queries[place]),
            "rank": int(worst.ranks[place]),
            "stage": str(stage_of[place]),
        }
        for place in order
    ]


def _attack_queries(bench, threat, worst):
    for direction in CROSS_MODAL:
        queries, items = sides(direction)
        if threat.attack_on(queries) is None:
            continue
        left = _survivors(worst[direction])
        if not left.size:
            yield direction, worst[direction], 0
            continue
        relevance = bench.relevance(direction).only(left)
        found, _ = bench.attack(threat, queries, bench.embeddings(items), relevance)
        yield direction, bench.rank(direction, queries=found), left.size


def _attack_both(bench, threat, worst):
    ids = None
    if threat.protocol.schedule is not None:
        ids = _surviving_ids(bench, worst)
        if not ids.size:
            yield from ((direction, worst[direction], 0) for direction in CROSS_MODAL)
            return
    result = threat.protocol.run(bench, threat, ids)
    for direction, ranking in result.rankings.items():
        met = ranking.queries if ids is None else _survivors(worst[direction])
        yield direction, ranking, met.size


def _surviving_ids(bench, worst):
    """Returns the ids of which an image or a caption still finds its match."""
    images = bench.clean.image_ids[_survivors(worst["image_to_text"])]
    texts = bench.clean.text_ids[_survivors(worst["text_to_image"])]
    return np.union1d(images, texts)


def _survivors(ranking):
    return ranking.queries[ranking.ranks <= _LARGEST_K]


def _check(epsilon, num_substitutions, version):
    if epsilon is None and num_substitutions is None:
        raise ValueError(
            "`auto_attack` needs a budget. Received: epsilon=None, num_substitutions=None. "
            "Pass e.g. epsilon=8 / 255."
        )
    if version not in VERSIONS:
        raise ValueError(
            f"`version` must be one of {tuple(VERSIONS)}. Received: version={version!r}. "
            "'standard' is for publication."
        )
