r"""Puts the reports of several runs into one table and one figure.

    python recipes/compare.py --runs=runs/standard,runs/rocmr --output=runs/compare.png

prints a Markdown table of recall@1/5/10 in percent for each protocol, and draws recall@10
(or `--k`) over epsilon. Folders that differ only in a trailing `-<seed>` are one row: the mean over
seeds, with half the range of recall@1 in parentheses. Reports of different data, or with
different attacks, are refused.
"""

import json
import os
import re

from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS

flags.DEFINE_list("runs", None, "Output folders of train.py or evaluate.py.", required=True)
flags.DEFINE_string("output", "runs/compare.png", "The figure.")
flags.DEFINE_enum("k", "10", ["1", "5", "10"], "The figure's recall is among the first k.")

DIRECTIONS = {"image_to_text": "image→text", "text_to_image": "text→image"}


def read_reports(folders):
    """Returns lists of reports, one for each seed, by run name."""
    reports = {}
    for folder in folders:
        with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
            name = os.path.basename(os.path.normpath(folder))
            reports.setdefault(re.sub(r"-\d+$", "", name), []).append(json.load(file))
    return reports


def check_comparable(reports):
    """Refuses reports of other data or other attacks."""
    described = set()
    for report in (report for group in reports.values() for report in group):
        budgets = {name: run["budget"] for name, run in report["attacks"].items()}
        for budget in budgets.values():
            for side in ("image_attack", "text_attack"):
                (budget[side] or {}).pop("seed", None)
        described.add(json.dumps([report["counts"], budgets], sort_keys=True))
    if len(described) > 1:
        raise ValueError(
            "Only reports of the same data and the same attacks can be compared. "
            f"Received: {len(described)} different ones in --runs. "
            "Evaluate the models with the same flags."
        )


def cell(group, attack, direction):
    """Returns recalls in percent, the mean over the seeds."""
    runs = [report["attacks"][attack] if attack else report["clean"] for report in group]
    if direction not in runs[0]:
        return "–"
    texts = []
    for k in (1, 5, 10):
        values = [100 * run[direction][f"recall_at_{k}"] for run in runs]
        texts.append(f"{sum(values) / len(values):.1f}")
        if k == 1 and len(values) > 1:
            texts[-1] += f" (±{(max(values) - min(values)) / 2:.1f})"
    return " / ".join(texts)


def print_table(reports, protocol):
    first = next(iter(reports.values()))[0]
    attacks = [
        name
        for name, run in first["attacks"].items()
        if run["budget"]["protocol"] == protocol
    ]
    columns = [
        (attack, direction)
        for attack in [None, *attacks]
        for direction in DIRECTIONS
        if direction in (first["attacks"][attack] if attack else first["clean"])
    ]
    names = [f"{attack or 'clean'} {DIRECTIONS[direction]}" for attack, direction in columns]
    print(f"\nprotocol: {protocol}\n\n| preset | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, group in reports.items():
        cells = [cell(group, attack, direction) for attack, direction in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def curve(group):
    """Returns image-to-text recall over the budgets of the PGD runs."""
    points = [(0.0, [report["clean"] for report in group])]
    for name, run in group[0]["attacks"].items():
        attack = run["budget"]["image_attack"] or {}
        if attack.get("attack") == "PGD" and run["budget"]["protocol"] == "query":
            runs = [report["attacks"][name] for report in group]
            points.append((attack["epsilon"], runs))
    recalls = [
        sum(run["image_to_text"][f"recall_at_{FLAGS.k}"] for run in runs) / len(runs)
        for _, runs in points
    ]
    return {"epsilon": [epsilon for epsilon, _ in points], "recall": recalls}


def main(_):
    reports = read_reports(FLAGS.runs)
    check_comparable(reports)
    for protocol in ("query", "both"):
        print_table(reports, protocol)
    curves = {name: curve(group) for name, group in reports.items()}
    metric = f"recall@{FLAGS.k}"
    rk.evaluation.pictures.recall_against_epsilon(
        FLAGS.output,
        curves,
        title=f"image→text {metric} under PGD on the query",
        metric=metric,
    )


if __name__ == "__main__":
    app.run(main)
