"""The conclusion of a report in one line, with its cautions."""

from rocmr_keras.reports.cautions import cautions
from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.formatting import changed_in_captions
from rocmr_keras.reports.formatting import percent


def verdict(report):
    """Summarises a report in one line: the recall left under the strongest attack.

    For each protocol and direction it names the attack with the lowest recall@1 and the
    share of the clean recall@1 that this leaves, and what AutoAttack could do to captions; then
    what the figures do not show: random
    or short attacks only, no AutoAttack, stalled gradients, an audit that is not sound, few
    queries.

    Args:
        report: Dict, as `evaluate` or `auto_attack` returns it, perhaps with an `"audit"`.

    Returns:
        String without a line break, recalls in percent.

    Example:

    ```python
    print(verdict(evaluate(model, split, {"pgd20 8/255": PGD(8 / 255, num_steps=20)})))
    ```
    """
    warnings = cautions(report)
    said = statement(report)
    return " ".join(f"{said}; caution: {'; '.join(warnings)}".split()) if warnings else said


def statement(report):
    """Returns the verdict without its cautions."""
    found = strongest(report)
    parts = [] if found else [f"clean: {', '.join(_clean(report))}"]
    told = set()
    for protocol in dict.fromkeys(entry["protocol"] for entry in found):
        entries = [entry for entry in found if entry["protocol"] == protocol]
        clauses = ", ".join(_clause(entry, told) for entry in entries)
        parts.append(f"protocol {protocol}: {clauses}")
        parts += _captions(report, {entry["attack"] for entry in entries})
    weakest = weakest_point(found)
    if weakest:
        parts.append(f"weakest: {ARROWS[weakest['direction']]} under {weakest['attack']}")
    # One line, whatever an attack is called.
    return " ".join(f"recall@1, {'; '.join(parts)}".split())


def strongest(report):
    """Returns the attack that leaves the lowest recall@1, by protocol and direction.

    Args:
        report: Dict, as `evaluate` returns it.

    Returns:
        List of dicts of `protocol`, `direction`, `attack`, recall@1 `clean` (of the queries that
        were attacked) and `attacked`, and `kept`, their ratio, `None` where `clean` is 0.
    """
    lowest = {}
    for name, run in report["attacks"].items():
        for direction in (name for name in ARROWS if name in run):
            key = run["budget"]["protocol"], direction
            left = tuple(run[direction][f"recall_at_{k}"] for k in (1, 5, 10))
            if key not in lowest or left < lowest[key][0]:
                lowest[key] = left, name
    entries = []
    for (protocol, direction), (left, name) in lowest.items():
        clean = clean_figures(report, name)[direction]["recall_at_1"]
        entries.append(
            {
                "protocol": protocol,
                "direction": direction,
                "attack": name,
                "clean": clean,
                "attacked": left[0],
                "kept": left[0] / clean if clean else None,
            }
        )
    order = list(dict.fromkeys(protocol for protocol, _ in lowest))
    return sorted(entries, key=lambda entry: order.index(entry["protocol"]))


def weakest_point(found):
    """Returns the entry of the first protocol that keeps least, `None` if it has but one."""
    known = [
        entry
        for entry in found
        if entry["protocol"] == found[0]["protocol"] and entry["kept"] is not None
    ]
    return min(known, key=lambda entry: entry["kept"]) if len(known) > 1 else None


def _captions(report, names):
    """What captions met under those of some attacks that are AutoAttack."""
    for name, run in report["attacks"].items():
        changed = changed_in_captions(run["budget"]) if name in names else None
        if changed:
            yield f"captions under {name}: {changed}"


def clean_figures(report, name):
    """Returns the clean figures of the queries that an attack was measured on."""
    return report["attacks"][name].get("clean", report["clean"])


def _clean(report):
    figures = {ARROWS[name]: report["clean"][name] for name in ARROWS if name in report["clean"]}
    return [f"{arrow} {percent(run['recall_at_1'])}" for arrow, run in figures.items()]


def _clause(entry, told):
    """The clean recall is said once, where it is of the same queries."""
    clean = entry["direction"], entry["clean"]
    before = "" if clean in told else f"{percent(entry['clean'])} clean, "
    told.add(clean)
    kept = "" if entry["kept"] is None else f" ({percent(entry['kept'])} kept)"
    after = f"{percent(entry['attacked'])} under {entry['attack']}{kept}"
    return f"{ARROWS[entry['direction']]} {before}{after}"
