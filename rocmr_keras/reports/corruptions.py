"""Corruptions of a report by kind and severity, with their mean over the kinds."""

import numpy as np

_DIRECTION = "image_to_text"


def corruption_recalls(report, k=1):
    """Returns recall of the image queries under corruptions, by severity and kind.

    Args:
        report: Dict, as `evaluate` returns it of attacks among which are some of
            `rocmr_keras.attacks.corruptions`, under the protocol `"query"`.
        k: Integer, 1, 5 or 10. Defaults to `1`.

    Returns:
        Dict from a severity to a dict from a kind to its recall, and from `"mean"` to their
        mean.

    Raises:
        ValueError: If there is none, or severities have not the same kinds.
    """
    found = {}
    for run in report["attacks"].values():
        attack = run["budget"].get("image_attack") or {}
        if attack.get("attack") == "Corruption" and run["budget"]["protocol"] == "query":
            kinds = found.setdefault(attack["severity"], {})
            kinds[attack["kind"]] = run[_DIRECTION][f"recall_at_{k}"]
    if not found or len({frozenset(kinds) for kinds in found.values()}) > 1:
        raise ValueError(
            "`report` must have corruptions, of each severity the same kinds. Received: "
            f"{ {severity: list(kinds) for severity, kinds in found.items()} }. Evaluate "
            "`attacks.corruptions(severity)` for each severity."
        )
    return {
        severity: {**kinds, "mean": float(np.mean(list(kinds.values())))}
        for severity, kinds in sorted(found.items())
    }


def format_corruptions(report):
    """Formats corruptions as a table of recall@1 in percent, the last row being their mean.

    Args:
        report: As in `corruption_recalls`.

    Returns:
        String of several lines: a row for each kind, a column for each severity.
    """
    found = corruption_recalls(report)
    clean = report["clean"][_DIRECTION]["recall_at_1"]
    title = "image->text recall@1, severity"
    head = f"{title}{'clean':>8}" + "".join(f"{severity:>8}" for severity in found)
    lines = [head, "-" * len(head)]
    for kind in next(iter(found.values())):
        shares = [clean, *(kinds[kind] for kinds in found.values())]
        cells = "".join(f"{100 * share:>8.1f}" for share in shares)
        lines.append(f"{kind:<{len(title)}}{cells}")
    return "\n".join(lines)
