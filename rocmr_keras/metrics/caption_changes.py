"""How far attacked captions are from those they were."""

import numpy as np


def edit_distance(first, second):
    """Counts the insertions, deletions and replacements between two sequences (Levenshtein).

    Args:
        first: String, or list of words.
        second: The same.

    Returns:
        Integer.
    """
    first, second = _without_common_ends(list(first), list(second))
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
    return row[-1]


def text_changes(before, after):
    """Sums up by how much captions were changed.

    Args:
        before: List of strings.
        after: List of as many strings.

    Returns:
        Dict with `changed_share`, the share of captions that are not as they were, and
        `characters` and `words` (what blanks separate): the `mean` and `most` of the edit
        distances of the changed ones, `None` where there are none.
    """
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    return {
        "changed_share": len(changed) / len(before) if before else None,
        "characters": _summary([edit_distance(a, b) for a, b in changed]),
        "words": _summary([edit_distance(a.split(), b.split()) for a, b in changed]),
    }


def _summary(distances):
    if not distances:
        return {"mean": None, "most": None}
    return {"mean": float(np.mean(distances)), "most": int(max(distances))}


def _without_common_ends(first, second):
    """Cuts off what both begin and end with, which is nearly all of an edited caption."""
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    first, second = first[start:], second[start:]
    while first and second and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    return first, second
