"""The attacks that AutoAttack runs one after the other, by version and budget."""

import collections

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import MarginsInTurn
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.evaluation.protocols import Both
from rocmr_keras.evaluation.threat import Threat

#: Gradient steps, queries of the random search and candidates of a substitution.
VERSIONS = {
    "standard": {"num_steps": 100, "num_queries": 1000, "num_candidates": 128},
    "fast": {"num_steps": 20, "num_queries": 0, "num_candidates": 32},
}

#: The ranks at which the figures are worst cases.
RANKS = (1, 5, 10)


class Stage(collections.namedtuple("Stage", "name threat lowest highest", defaults=(1, RANKS[-1]))):
    """One attack of the ensemble, and which queries it meets.

    Args:
        name: String, what reports call it.
        threat: A `Threat`.
        lowest: Integer, the best rank of a query that it meets. Defaults to `1`.
        highest: Integer, the worst one. Defaults to the largest of `RANKS`.
    """

    def meets(self, ranks):
        """Returns which queries it is run on, a boolean array, by their worst ranks so far."""
        return (self.lowest <= ranks) & (ranks <= self.highest)

    @property
    def ks(self):
        """List of the ranks whose margins it climbs, `None` where it knows none."""
        climbed = getattr(self.threat.objective, "climbed", None)
        return None if climbed is None else list(climbed)


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
        List of `Stage`, in the order in which they are run.
    """
    attacks = _query_attacks(budget)
    # They fail on different queries: `contrastive` saturates where the model is sure, the
    # gradient of a margin knows two items only.
    stages = [
        Stage(f"{name}, contrastive", Threat(**attack, objective="contrastive"))
        for name, attack in attacks.items()
    ]
    for before, k in zip((0, *RANKS), RANKS):
        objective = MarginsInTurn(RANKS, first=k)
        # The first of them goes on to the other ranks by itself, so it meets all queries.
        highest = RANKS[-1] if k == RANKS[0] else k
        for name, attack in attacks.items():
            # A search is cheap: it also tries those that the last one could not put behind
            # `before`, for another gradient ranks other swaps first.
            lowest = 1 if "text_attack" in attack else before + 1
            threat = Threat(**attack, objective=objective)
            stages.append(Stage(f"{name}, {_at(objective)}", threat, lowest, highest))
    if budget["epsilon"] is not None and budget["norm"] == "linf" and budget["num_queries"]:
        square = Square(budget["epsilon"], budget["num_queries"], seed=budget["seed"])
        objective = MarginsInTurn(RANKS)
        stages.append(Stage(f"Square, {_at(objective)}", Threat(square, objective=objective)))
    return stages


def joint_stages(budget):
    """Returns the attacks on both sides, as `query_stages` does; none without both budgets."""
    if budget["epsilon"] is None or budget["num_substitutions"] is None:
        return []
    apgd, search = _apgd(budget), _search(budget)
    objective = MarginsInTurn(RANKS)
    # The first knows the attacked gallery, the second the own captions of each image.
    return [
        Stage("one after the other", Threat(apgd, search, protocol=Both())),
        Stage(
            f"alternating, {_at(objective)}", Threat(apgd, search, objective, Both("alternating"))
        ),
    ]


def _query_attacks(budget):
    """Returns what is run on every objective: a dict from names to arguments of a `Threat`."""
    attacks = {}
    if budget["epsilon"] is not None:
        attacks["APGD"] = {"image_attack": _apgd(budget)}
    if budget["num_substitutions"] is not None:
        attacks["substitution"] = {"text_attack": _search(budget)}
    return attacks


def _at(objective):
    return f"margin at {', '.join(str(k) for k in objective.climbed)}"


def _apgd(budget):
    norm, seed = budget["norm"], budget["seed"]
    return APGD(budget["epsilon"], budget["num_steps"], norm, seed=seed)


def _search(budget):
    num_substitutions = budget["num_substitutions"]
    return TokenSubstitution(
        num_substitutions,
        budget["num_candidates"],
        seed=budget["seed"],
        # After the last substitution a beam has nothing to continue from.
        beam_size=1 if num_substitutions == 1 else 4,
    )
