"""Entries of a leaderboard: one file a model, and the table of those that may be mixed."""

import json
import os
import pathlib

from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.reports.comparison import format_comparison
from rocmr_keras.reports.comparison import without_seeds

FORMAT = 1
_PARTS = ("format", "model", "data", "counts", "versions", "clean", "attacks", "audit")
_MISSING = "nothing"
_MOST_LISTED = 12


def leaderboard_entry(report, model, data, versions):
    """Returns what a leaderboard has to know of a model, plain values for `write_report`.

    Args:
        report: Dict, as `evaluate` or `auto_attack` returns it, perhaps with an `"audit"`.
        model: Dict that says which model: `name`, `sha256` of its weights, see
            `rocmr_keras.evaluation.weights_sha256`, and `parameters`.
        data: Dict that says which data: `dataset`, `split`, and its `sha256`, see
            `rocmr_keras.evaluation.split_sha256`.
        versions: Dict from a package to its version, `rocmr_keras` among them.

    Returns:
        Dict with these, `counts` (the sizes of the galleries), `clean`, `attacks` with their
        budgets, and `audit`, its verdict and reason, or `None`.

    Raises:
        ValueError: If something that names the model or the data is missing.
    """
    _check_keys("model", model, ("name", "sha256", "parameters"))
    _check_keys("data", data, ("dataset", "split", "sha256"))
    _check_keys("versions", versions, ("rocmr_keras",))
    audit = report.get("audit")
    return {
        "format": FORMAT,
        "model": dict(model),
        "data": dict(data),
        "counts": report["counts"],
        "versions": dict(versions),
        "clean": report["clean"],
        "attacks": {name: _measured(run) for name, run in report["attacks"].items()},
        "audit": audit and {name: audit[name] for name in ("verdict", "reason")},
    }


def read_entries(folder):
    """Reads all entries of a folder, its `.json` files.

    Args:
        folder: Path.

    Returns:
        Dict from the name of a file without its ending to an entry.

    Raises:
        ValueError: If there is none, or a file is no entry.
    """
    paths = sorted(pathlib.Path(folder).glob("*.json"))
    if not paths:
        raise ValueError(
            "`folder` must hold entries, `.json` files. Received: "
            f"folder={os.fspath(folder)!r} without any. Write one with evaluate.py --entry."
        )
    entries = {path.stem: json.loads(path.read_text("utf-8")) for path in paths}
    for name, entry in entries.items():
        _check_keys(f"{name}.json", entry, _PARTS)
    return entries


def format_leaderboard(entries):
    """Formats entries as Markdown: the tables of recall, and what each entry is of.

    The models that keep most come first: those with the highest mean of recall@1 over both
    directions under the attack that leaves the least of it, then under all of them.

    Args:
        entries: Dict from a name to an entry, as `read_entries` returns it.

    Returns:
        String of several lines.

    Raises:
        ValueError: If they are of other data, galleries, protocols, budgets or versions of the
            attacks; the message lists what differs.
    """
    check_mixable(entries)
    order = sorted(entries, key=lambda name: _left(entries[name]), reverse=True)
    tables = format_comparison({name: [entries[name]] for name in order})
    lines = ["| model | audit | parameters | weights |", "|---|---|---|---|"]
    for name in order:
        model, audit = entries[name]["model"], entries[name]["audit"]
        verdict = audit["verdict"] if audit else "none"
        lines.append(f"| {name} | {verdict} | {model['parameters']} | {model['sha256'][:12]} |")
    return "\n".join([tables, *lines]) + "\n"


def check_mixable(entries):
    """Refuses entries that do not belong into one table.

    Frameworks, seeds and machines may differ. The version of this package may not: its attacks
    are what is compared.

    Raises:
        ValueError: If something differs; the message lists it.
    """
    known = {name: _flat(_must_agree(entry)) for name, entry in entries.items()}
    paths = sorted(set().union(*known.values()))
    differing = []
    for path in paths:
        groups = {}
        for name, flat in known.items():
            groups.setdefault(json.dumps(flat.get(path, _MISSING)), []).append(name)
        if len(groups) > 1:
            told = ", ".join(f"{value} ({', '.join(names)})" for value, names in groups.items())
            differing.append(f"{path}: {told}")
    if differing:
        more = len(differing) - _MOST_LISTED
        rest = [f"and {more} more"] if more > 0 else []
        raise ValueError(
            "Entries of one table must have the same data, galleries, protocols, budgets and "
            "version of the attacks. Received: "
            f"{'; '.join(differing[:_MOST_LISTED] + rest)}. Keep them in folders of their own."
        )


def _must_agree(entry):
    """The part of an entry in which all entries of a table are the same."""
    budgets = {name: without_seeds(run["budget"]) for name, run in entry["attacks"].items()}
    versions = {"rocmr_keras": entry["versions"]["rocmr_keras"]}
    shared = {name: entry[name] for name in ("format", "data", "counts")}
    return {**shared, "versions": versions, "attacks": budgets}


def _flat(value, path=""):
    """Returns a nested dict as one from dotted paths to values."""
    if not isinstance(value, dict):
        return {path: value}
    parts = [_flat(inner, f"{path}.{name}" if path else name) for name, inner in value.items()]
    # What has no entries differs from what has some.
    return {key: leaf for part in parts for key, leaf in part.items()} or {path: {}}


def _measured(run):
    """What a table shows of an attack; no positions of queries, no stages."""
    figures = {name: run[name] for name in run if isinstance(run[name], dict)}
    kept = ("budget", "clean", *CROSS_MODAL, "recall_drop", "attack_success_rate")
    return {name: figures[name] for name in kept if name in figures}


def _left(entry):
    left = [_recall(run) for run in (entry["clean"], *entry["attacks"].values())]
    return min(left), sum(left)


def _recall(run):
    recalls = [run[name]["recall_at_1"] for name in CROSS_MODAL if name in run]
    return sum(recalls) / len(recalls) if recalls else 1.0


def _check_keys(name, found, needed):
    missing = [key for key in needed if key not in found]
    if missing:
        raise ValueError(
            f"`{name}` must have the entries {needed}. Received: one without {missing}. "
            "Write it with `leaderboard_entry`, or add what is missing."
        )
