"""The attacks that AutoAttack runs one after the other, by version and budget."""

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation.protocols import Both
from rocmr_keras.evaluation.threat import Threat

#: Gradient steps, queries of the random search and candidates of a substitution.
VERSIONS = {
    "standard": {"num_steps": 100, "num_queries": 1000, "num_candidates": 128},
    "fast": {"num_steps": 20, "num_queries": 0, "num_candidates": 32},
}


def auto_attack_budget(
    epsilon=None, num_substitutions=None, norm="linf", version="standard", seed=0
):
    """Returns the budget of an AutoAttack as plain values, see `auto_attack`.

    Raises:
        ValueError: If there is no budget, or the version is unknown.
    """
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
    return {
        "attack": f"AutoAttack {version}",
        **VERSIONS[version],
        "epsilon": epsilon,
        "norm": norm,
        "num_substitutions": num_substitutions,
        "seed": seed,
    }


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
    # They fail on different queries: `contrastive` saturates where the model is sure, the
    # gradient of `margin` knows two items only.
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
        # After the last substitution a beam has nothing to continue from.
        beam_size=1 if num_substitutions == 1 else 4,
    )
