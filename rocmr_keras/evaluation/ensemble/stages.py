"""The attacks that AutoAttack runs one after the other, by version and budget."""

import collections

from rocmr_keras.attacks import APGD
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import MarginsInTurn
from rocmr_keras.attacks import Square
from rocmr_keras.attacks import TargetedMargin
from rocmr_keras.evaluation.ensemble.text_part import SEARCHES
from rocmr_keras.evaluation.ensemble.text_part import WRITTEN
from rocmr_keras.evaluation.ensemble.text_part import check_text
from rocmr_keras.evaluation.ensemble.text_part import string_attacks
from rocmr_keras.evaluation.ensemble.text_part import text_searches
from rocmr_keras.evaluation.protocols import Both
from rocmr_keras.evaluation.threat import Threat

#: Gradient steps, wrong items that are aimed at one by one, queries of the random search,
#: candidates of a substitution, and places of a caption at which all characters are tried.
VERSIONS = {
    "standard": {
        "num_steps": 100,
        "num_targets": 3,
        "num_queries": 1000,
        "num_candidates": 128,
        "num_positions": 20,
    },
    "fast": {
        "num_steps": 20,
        "num_targets": 0,
        "num_queries": 0,
        "num_candidates": 32,
        "num_positions": 4,
    },
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
    epsilon=None,
    num_substitutions=None,
    norm="linf",
    version="standard",
    seed=0,
    text=WRITTEN,
    fillers=None,
):
    """Returns the budget of an AutoAttack as plain values, see `auto_attack`.

    Its `text` and `fillers`, what edits may insert, are lists, `None` where texts are left alone.

    Raises:
        ValueError: If there is no budget, or the version or a name of `text` is unknown.
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
        **_text(num_substitutions, text, fillers),
    }


def _text(num_substitutions, text, fillers):
    if num_substitutions is None:
        return {"text": None, "fillers": None}
    words = HumanEdits().fillers if fillers is None else fillers
    return {"text": list(check_text(text)), "fillers": list(words)}


def joint_budget(budget):
    """Returns the part of a budget that is spent on both sides: no attacks on strings."""
    text = [kind for kind in budget["text"] or () if kind in SEARCHES]
    return {**budget, "text": text, "fillers": None}


def query_stages(budget):
    """Returns the attacks on a query alone.

    Args:
        budget: Dict as `auto_attack_budget` returns it, or that of a report; older ones have
            no `text`, which means free tokens, and no `num_targets`, which means none.

    Returns:
        List of `Stage`, in the order in which they are run.
    """
    budget = _completed(budget)
    attacks = _climbing(budget)
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
    objective = MarginsInTurn(RANKS)
    stages += _targeted(budget)
    return stages + [
        Stage(f"{name}, {_at(objective)}", Threat(**attack, objective=objective))
        for name, attack in _trying(budget).items()
    ]


def joint_stages(budget):
    """Returns the attacks on both sides, as `query_stages` does; none without both budgets."""
    budget = _completed(budget)
    searches = text_searches(budget)
    if budget["epsilon"] is None or not searches:
        return []
    apgd, objective = _apgd(budget), MarginsInTurn(RANKS)
    stages = []
    for name, search in searches.items():
        # The first knows the attacked gallery, the second the own captions of each image.
        after = Threat(apgd, search, protocol=Both())
        together = Threat(apgd, search, objective, Both("alternating"))
        stages += [
            Stage(f"one after the other, {name}", after),
            Stage(f"alternating, {name}, {_at(objective)}", together),
        ]
    return stages


def _completed(budget):
    text = None if budget["num_substitutions"] is None else ["tokens"]
    return {"text": text, "fillers": None, "num_targets": 0, **budget}


def _targeted(budget):
    """Returns attacks on images that are still first: they aim at one wrong item each."""
    if budget["epsilon"] is None:
        return []
    count = budget["num_targets"]
    objectives = [TargetedMargin(rival + 1, count) for rival in range(count)]
    return [
        Stage(f"APGD, targeted {each.rival}", Threat(_apgd(budget), objective=each), highest=1)
        for each in objectives
    ]


def _climbing(budget):
    """Returns what is run on every objective: a dict from names to arguments of a `Threat`."""
    searches = {name: {"text_attack": search} for name, search in text_searches(budget).items()}
    if budget["epsilon"] is None:
        return searches
    return {"APGD": {"image_attack": _apgd(budget)}, **searches}


def _trying(budget):
    """Returns what needs no gradient, and so is run once, on the margins in turn."""
    attacks = {name: {"text_attack": found} for name, found in string_attacks(budget).items()}
    if budget["epsilon"] is None or budget["norm"] != "linf" or not budget["num_queries"]:
        return attacks
    square = Square(budget["epsilon"], budget["num_queries"], seed=budget["seed"])
    return {"Square": {"image_attack": square}, **attacks}


def _at(objective):
    return f"margin at {', '.join(str(k) for k in objective.climbed)}"


def _apgd(budget):
    norm, seed = budget["norm"], budget["seed"]
    return APGD(budget["epsilon"], budget["num_steps"], norm, seed=seed)
