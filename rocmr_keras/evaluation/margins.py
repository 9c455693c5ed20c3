"""Compares joint attacks by the margins of groups, an image and its captions each."""

import numpy as np

# Two programs that compute the same margin differ by as much.
_ROUNDING = 1e-6


def compare_margins(report):
    """Compares joint attacks by their margins, even if recall is zero under all of them.

    A group is all images and captions of one id. Its margin, which a joint attack raises, is
    the best wrong similarity minus the best right one, the mean over its images plus the mean
    over its captions.

    Args:
        report: Dict, as `evaluate` returns it, with two attacks or more under the protocol
            `"both"` with a schedule.

    Returns:
        Dict from the name of each such attack to a dict: `groups`, how many there are,
        `mean_margin`, and `at_least_as_strong`, a dict from the name of each other attack to
        the number of groups in which this one's margin is not below the other's.

    Raises:
        ValueError: If fewer than two attacks have margins of groups.

    Example:

    ```python
    threats = {
        name: Threat(image_attack, text_attack, protocol=protocols.Both(name))
        for name in attacks.joint.SCHEDULES
    }
    print(format_margins(compare_margins(evaluate(model, split, threats))))
    ```
    """
    margins = {
        name: np.array(run["group_margins"])
        for name, run in report["attacks"].items()
        # Attacks without a schedule have no groups.
        if "group_margins" in run
    }
    if len(margins) < 2:
        raise ValueError(
            "`report` must have two attacks with a schedule or more. Received: a report of "
            f"{list(report['attacks'])}. Use `protocols.Both(schedule)` in each `Threat`."
        )
    return {
        name: {
            "groups": len(own),
            "mean_margin": float(own.mean()),
            "at_least_as_strong": {
                other: int(np.sum(own >= margins[other] - _ROUNDING))
                for other in margins
                if other != name
            },
        }
        for name, own in margins.items()
    }


def format_margins(comparison):
    """Formats what `compare_margins` returns as a table.

    Args:
        comparison: Dict, as `compare_margins` returns it.

    Returns:
        String of several lines: a row for each attack, its mean margin, and in how many
        groups it is at least as strong as that of each column.
    """
    groups = next(iter(comparison.values()))["groups"]
    title = f"of {groups} groups, at least as strong as"
    width = max(len(name) for name in [title, *comparison])
    columns = [max(len(name), 6) for name in comparison]
    cells = [f"  {name:>{size}}" for name, size in zip(comparison, columns)]
    head = f"{title:<{width}}  {'margin':>8}{''.join(cells)}"
    lines = [head, "-" * len(head)]
    for name, row in comparison.items():
        counts = [row["at_least_as_strong"].get(other, "-") for other in comparison]
        cells = [f"  {count:>{size}}" for count, size in zip(counts, columns)]
        lines.append(f"{name:<{width}}  {row['mean_margin']:>8.4f}{''.join(cells)}")
    return "\n".join(lines)
