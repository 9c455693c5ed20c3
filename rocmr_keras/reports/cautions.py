"""Reasons to doubt a report: weak attacks, few queries, an audit that found something."""

from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import sides
from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.formatting import captions_part
from rocmr_keras.reports.formatting import percent

_RANDOM = ("RandomNoise", "RandomSubstitution", "RandomCharacterEdits", "RandomHumanEdits")
_UNASKED = ("Corruption",)
_FEWEST_STEPS = 10
_FEWEST_QUERIES = 20
_STALLED = 0.01
# Which of its checks decided, and what follows.
_AUDITS = {
    "masked": ("fail", "the figures may be too good"),
    "caution": ("caution", "the figures of AutoAttack are the ones to read"),
}


def cautions(report):
    """Lists the reasons why a report may overstate robustness.

    Args:
        report: Dict, as `evaluate` or `auto_attack` returns it, perhaps with an `"audit"`.

    Returns:
        List of strings, each a part of a sentence; empty if there is no reason.
    """
    runs = report["attacks"]
    if not runs:
        return ["no attack was run, so nothing is known of robustness", *_audit(report)]
    found = [text for name in CROSS_MODAL for text in _weak(runs, name)]
    found += _corruptions(runs)
    versions = {run["budget"].get("attack") for run in runs.values()}
    if "AutoAttack fast" in versions:
        found.append("AutoAttack fast is for a look, not for publication")
    elif "AutoAttack standard" not in versions:
        found.append("not AutoAttack, a stronger attack may leave less")
    found += [text for name, run in runs.items() for text in _not_tried(name, run["budget"])]
    for name, run in runs.items():
        share = max((run.get("stalled_share") or {}).values(), default=0.0)
        if share > _STALLED:
            found.append(f"{percent(share)} of the gradients of {name} stalled")
    return [*found, *_few(report), *_audit(report)]


def is_random(budget):
    """Returns whether a budget is of random changes alone, which are no attack."""
    attacks = [budget.get("image_attack"), budget.get("text_attack")]
    names = [attack["attack"] for attack in attacks if attack]
    return bool(names) and all(name in _RANDOM for name in names)


def _weak(runs, direction):
    covering = [run["budget"] for run in runs.values() if direction in run]
    arrow = ARROWS[direction]
    if not covering:
        return [f"{arrow} was not attacked"]
    attacks = [attack for budget in covering for attack in _attacks(budget, direction)]
    if all(attack["attack"] in _UNASKED for attack in attacks):
        return [f"{arrow} met corruptions only, so nothing is known of attacks on it"]
    if all(attack["attack"] in (*_RANDOM, *_UNASKED) for attack in attacks):
        return [f"{arrow} met random changes only, so nothing is known of its robustness"]
    searched = [attack for attack in attacks if attack["attack"] not in (*_RANDOM, *_UNASKED)]
    known = [attack.get("num_steps", _FEWEST_STEPS) for attack in searched]
    if max(known) < _FEWEST_STEPS:
        return [f"{arrow} met attacks of {max(known)} steps at most, {_FEWEST_STEPS} are few"]
    return []


def _corruptions(runs):
    """What is robust to some changes is not robust to others."""
    attacks = [run["budget"].get("image_attack") or {} for run in runs.values()]
    kinds = {attack["kind"] for attack in attacks if attack.get("attack") in _UNASKED}
    if kinds:
        yield f"robust is not to be read wider than these {len(kinds)} kinds of corruption"


def _not_tried(name, budget):
    """What people do to captions, and an AutoAttack on queries did not."""
    kinds = captions_part(budget)
    missing = [kind for kind in ("edits", "characters") if kind not in kinds]
    if kinds and missing and budget["protocol"] == "query":
        yield f"{name} tried no {' or '.join(missing)} on captions"


def _attacks(budget, direction):
    """The attacks that a direction meets: under `"query"` that on its queries, and so on."""
    if "attack" in budget:
        return [budget]
    queries, items = sides(direction)
    met = {"query": (queries,), "gallery": (items,), "inserted": (items,)}
    given = {"images": budget["image_attack"], "texts": budget["text_attack"]}
    sought = met.get(budget["protocol"], ("images", "texts"))
    return [given[side] for side in sought if given[side] is not None]


def _few(report):
    for direction in CROSS_MODAL:
        figures = report["clean"].get(direction)
        if figures:
            right = round(figures["recall_at_1"] * figures["count"])
            if right < _FEWEST_QUERIES:
                yield f"only {right} {ARROWS[direction]} queries were right when clean"


def _audit(report):
    audit = report.get("audit") or {}
    # An audit of an earlier version has no verdict, and judged by other rules.
    worst, advice = _AUDITS.get(audit.get("verdict"), (None, ""))
    if worst:
        found = [name for name, check in audit["checks"].items() if check["verdict"] == worst]
        yield f"audit: {audit['verdict']} ({', '.join(found)}), so {advice}"
