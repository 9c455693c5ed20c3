r"""Puts several runs into one table and one figure, or attacks their models anew first.

    python recipes/compare.py --runs=runs/standard,runs/rocmr --output=runs/compare

reads the `report.json` of each folder, prints a Markdown table of recall@1/5/10 in percent
for each protocol, draws recall@10 (or `--k`) over epsilon, and writes the reports as one page,
`report.html`. Folders that differ only in a trailing `-<seed>` are one row of the table: the
mean over seeds, with half the range of recall@1 in parentheses. Reports of different data,
or with different attacks, are refused.

    python recipes/compare.py --runs=runs/standard,runs/rocmr --attacks=standard --transfer

attacks the `model.keras` of each folder instead, with AutoAttack or, with
`--attacks=listed`, those of the evaluation flags. The reports go to the output folder, a
folder for each run; `--resume` keeps those that are there. `--transfer` also shows each
model what was found on each other one.
"""

import json
import os
import re

import common_flags
import keras
import run_report
from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
flags.DEFINE_list("runs", None, "Output folders of train.py or evaluate.py.", required=True)
flags.DEFINE_string("output", "runs/compare", "Folder for tables, figures and reports.")
flags.DEFINE_enum("k", "10", ["1", "5", "10"], "The figures' recall is among the first k.")
flags.DEFINE_enum(
    "attacks", None, ["listed", "fast", "standard"], "Attack the models; else read reports."
)
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to attack.")
flags.DEFINE_bool("transfer", False, "Try on each model what was found on each.")
flags.DEFINE_bool("resume", False, "Keep the reports that the output folder has.")
flags.DEFINE_integer("seed", 0, "Of the attacks.")

DIRECTIONS = {"image_to_text": "image→text", "text_to_image": "text→image"}


def main(_):
    os.makedirs(FLAGS.output, exist_ok=True)
    needs_data = FLAGS.attacks or FLAGS.transfer
    split = common_flags.load_data()[FLAGS.split] if needs_data else None
    folders = FLAGS.runs
    if FLAGS.attacks:
        folders = [attack_model(folder, split) for folder in FLAGS.runs]
    reports = read_reports(folders)
    check_comparable(reports)
    protocols = dict.fromkeys(
        run["budget"]["protocol"] for run in next(iter(reports.values()))[0]["attacks"].values()
    )
    tables = "\n".join(format_table(reports, protocol) for protocol in protocols)
    print(tables)
    with open(os.path.join(FLAGS.output, "tables.md"), "w", encoding="utf-8") as file:
        file.write(tables)
    draw_curves(reports)
    write_page(reports)
    if FLAGS.transfer:
        draw_transfer(split)


def run_name(folder):
    return os.path.basename(os.path.normpath(folder))


def load(folder):
    return keras.saving.load_model(os.path.join(folder, "model.keras"))


def attack_model(folder, split):
    """Attacks the model of a run, and returns the folder of the report."""
    output = os.path.join(FLAGS.output, run_name(folder))
    path = os.path.join(output, "report.json")
    if not (FLAGS.resume and os.path.exists(path)):
        print(f"{run_name(folder)}:")
        figures = run_report.measure(load(folder), split, FLAGS.seed, FLAGS.attacks)
        rk.reports.write_report(path, figures)
    return output


def read_reports(folders):
    """Returns lists of reports, one for each seed, by run name."""
    reports = {}
    for folder in folders:
        with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
            name = re.sub(r"-\d+$", "", run_name(folder))
            reports.setdefault(name, []).append(json.load(file))
    return reports


def check_comparable(reports):
    """Refuses reports of other data or other attacks."""
    described = set()
    for report in (report for group in reports.values() for report in group):
        budgets = {name: _without_seeds(run["budget"]) for name, run in report["attacks"].items()}
        described.add(json.dumps([report["counts"], budgets], sort_keys=True))
    if len(described) > 1:
        raise ValueError(
            "Only reports of the same data and the same attacks can be compared. "
            f"Received: {len(described)} different ones in --runs. "
            "Evaluate the models with the same flags, or attack them anew with --attacks."
        )


def _without_seeds(budget):
    return {
        name: _without_seeds(value) if isinstance(value, dict) else value
        for name, value in budget.items()
        if name != "seed"
    }


def format_table(reports, protocol):
    """Returns the Markdown table of one protocol."""
    first = next(iter(reports.values()))[0]
    attacks = [
        name for name, run in first["attacks"].items() if run["budget"]["protocol"] == protocol
    ]
    columns = [
        (attack, direction)
        for attack in [None, *attacks]
        for direction in DIRECTIONS
        if direction in (first["attacks"][attack] if attack else first["clean"])
    ]
    names = [f"{attack or 'clean'} {DIRECTIONS[direction]}" for attack, direction in columns]
    lines = [
        f"\nprotocol: {protocol}\n",
        "| run | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for name, group in reports.items():
        cells = [cell(group, attack, direction) for attack, direction in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(group, attack, direction):
    """Returns recalls in percent, the mean over the seeds."""
    runs = [report["attacks"][attack] if attack else report["clean"] for report in group]
    texts = []
    for k in (1, 5, 10):
        values = [100 * run[direction][f"recall_at_{k}"] for run in runs]
        texts.append(f"{sum(values) / len(values):.1f}")
        if k == 1 and len(values) > 1:
            texts[-1] += f" (±{(max(values) - min(values)) / 2:.1f})"
    return " / ".join(texts)


def draw_curves(reports):
    """Draws the recall over epsilon, where the reports have several budgets."""
    curves = {name: curve(group) for name, group in reports.items()}
    if all(len(found["epsilon"]) > 2 for found in curves.values()):
        metric = f"recall@{FLAGS.k}"
        rk.reports.pictures.recall_against_epsilon(
            os.path.join(FLAGS.output, "epsilon.png"),
            curves,
            title=f"image→text {metric} under PGD on the query",
            metric=metric,
        )


def curve(group):
    """Returns image-to-text recall over the budgets of the PGD runs."""
    points = [(0.0, [report["clean"] for report in group])]
    for name, run in group[0]["attacks"].items():
        attack = run["budget"].get("image_attack") or {}
        if attack.get("attack") == "PGD" and run["budget"]["protocol"] == "query":
            runs = [report["attacks"][name] for report in group]
            points.append((attack["epsilon"], runs))
    recalls = [
        sum(run["image_to_text"][f"recall_at_{FLAGS.k}"] for run in runs) / len(runs)
        for _, runs in points
    ]
    return {"epsilon": [epsilon for epsilon, _ in points], "recall": recalls}


def write_page(reports):
    """Prints what each report says, and writes all of them as one page."""
    entries = {
        name if len(group) == 1 else f"{name}, run {number}": report
        for name, group in reports.items()
        for number, report in enumerate(group, start=1)
    }
    for name, report in entries.items():
        print(f"{name}: {rk.reports.verdict(report)}\n")
    path = os.path.join(FLAGS.output, "report.html")
    rk.reports.write_html_report(path, entries, title=f"Compared: {', '.join(reports)}")


def draw_transfer(split):
    """Draws and prints what image attacks on each model do to each other one."""
    models = {run_name(folder): load(folder) for folder in FLAGS.runs}
    attack = rk.attacks.PGD(FLAGS.eval_both, FLAGS.eval_steps, seed=FLAGS.seed)
    matrix = rk.evaluation.transfer_matrix(models, split, attack, k=int(FLAGS.k), batch_size=128)
    plain = {
        "names": matrix["names"],
        "recall": matrix["recall"].tolist(),
        "clean_recall": matrix["clean_recall"].tolist(),
    }
    rk.reports.write_report(os.path.join(FLAGS.output, "transfer.json"), plain)
    rk.reports.pictures.transfer_matrix(
        os.path.join(FLAGS.output, "transfer.png"), matrix, metric=f"recall@{FLAGS.k}"
    )
    print("\n| attacked | " + " | ".join(matrix["names"]) + " |")
    print("|---" * (len(models) + 1) + "|")
    rows = zip(["none", *matrix["names"]], [plain["clean_recall"], *plain["recall"]])
    for name, recalls in rows:
        print(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in recalls) + " |")


if __name__ == "__main__":
    app.run(main)
