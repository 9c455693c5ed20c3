r"""Puts several runs into one table and one figure, or attacks their models anew first.

    python recipes/compare.py --runs=runs/standard,runs/rocmr --output=runs/compare

reads the `report.json` of each folder, prints a Markdown table of recall@1/5/10 in percent
for each protocol, draws recall@10 (or `--k`) over epsilon, and what `evaluate.py --certify` found,
where the reports have it, and writes the reports as one page, `report.html`. Folders that differ
only in a trailing `-<seed>` are one row of the table: the mean over seeds, with half the range of
recall@1 in parentheses. Reports of different data, or with different attacks, are refused.

    python recipes/compare.py --entries=board

builds the table of a leaderboard from a folder of entries, which `evaluate.py --entry` writes,
and refuses to mix what cannot be mixed: other data, galleries, protocols, budgets or versions.

    python recipes/compare.py --runs=runs/standard,runs/rocmr --attacks=standard --transfer

attacks the `model.keras` of each folder instead, with AutoAttack or, with
`--attacks=listed`, those of the evaluation flags. The reports go to the output folder, a
folder for each run; `--resume` keeps those that are there. `--transfer` also shows each
model what was found on each other one. `--pictures` draws what the models find: random queries,
and queries that are attacked on each model (`--eval_both`).
"""

import json
import os
import re

import common_flags
import numpy as np
import run_report
from absl import app
from absl import flags
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
flags.DEFINE_list("runs", None, "Output folders of train.py or evaluate.py.")
flags.DEFINE_string("entries", None, "Folder of entries of a leaderboard, instead of runs.")
flags.mark_flags_as_mutual_exclusive(["runs", "entries"], required=True)
flags.DEFINE_string("output", "runs/compare", "Folder for tables, figures and reports.")
flags.DEFINE_enum("k", "10", ["1", "5", "10"], "The figures' recall is among the first k.")
flags.DEFINE_enum(
    "attacks", None, ["listed", "fast", "standard"], "Attack the models; else read reports."
)
common_flags.define_norm_flag()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to attack.")
flags.DEFINE_bool("transfer", False, "Try on each model what was found on each.")
flags.DEFINE_bool("pictures", False, "Draw what the models find, clean and attacked.")
flags.DEFINE_bool("resume", False, "Keep the reports that the output folder has.")
flags.DEFINE_integer("seed", 0, "Of the attacks.")


def main(_):
    if FLAGS.entries:
        tables = rk.reports.format_leaderboard(rk.reports.read_entries(FLAGS.entries))
        print(tables)
        write_tables(tables)
    else:
        compare_runs()


def compare_runs():
    """Compares the reports of some folders, or attacks their models anew first."""
    needs_data = FLAGS.attacks or FLAGS.transfer or FLAGS.pictures
    if needs_data:
        common_flags.adopt_data_flags(os.path.join(FLAGS.runs[0], "model.keras"))
    split = common_flags.load_chosen(FLAGS.split) if needs_data else None
    folders = FLAGS.runs
    if FLAGS.attacks:
        folders = [attack_model(folder, split) for folder in FLAGS.runs]
    reports = read_reports(folders)
    tables = rk.reports.format_comparison(reports)
    print(tables)
    write_tables(tables)
    draw_curves(reports)
    draw_certified(reports)
    write_page(reports)
    if FLAGS.transfer:
        draw_transfer(split)
    if FLAGS.pictures:
        models = load_all()
        draw_found(models, split)
        draw_attacked(models, split)


def write_tables(tables):
    with rk.files.replacing(os.path.join(FLAGS.output, "tables.md")) as temporary:
        temporary.write_text(tables, "utf-8")


def run_name(folder):
    return os.path.basename(os.path.normpath(folder))


def load(folder):
    return run_report.load_model(os.path.join(folder, "model.keras"))


def load_all():
    return {run_name(folder): load(folder) for folder in FLAGS.runs}


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


def draw_curves(reports):
    """Draws the recall over epsilon, where the reports have several budgets."""
    curves = {
        name: rk.reports.recall_curve(group, k=int(FLAGS.k)) for name, group in reports.items()
    }
    metric = f"recall@{FLAGS.k}"
    if all(len(found["epsilon"]) > 2 for found in curves.values()):
        rk.reports.pictures.recall_against_epsilon(
            os.path.join(FLAGS.output, "epsilon.png"),
            curves,
            title=f"image→text {metric} under PGD on the query",
            metric=metric,
        )


def draw_certified(reports):
    """Draws what `evaluate.py --certify` found, where all runs have it, as means over seeds."""
    found = {name: [each.get("certified") for each in group] for name, group in reports.items()}
    every = [each for group in found.values() for each in group]
    if not all(every):
        return
    first = every[0]
    if any(each["k"] != first["k"] or each["smoothing"] != first["smoothing"] for each in every):
        print("No certified.png: the runs differ in --certify, --certify_copies or --certify_k.\n")
        return
    curves = {
        name: {
            "radius": group[0]["radius"],
            "recall": np.mean([each["recall"] for each in group], axis=0),
        }
        for name, group in found.items()
    }
    rk.reports.pictures.recall_against_radius(
        os.path.join(FLAGS.output, "certified.png"),
        curves,
        metric=f"certified recall@{first['k']}",
    )


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
    models = load_all()
    attack = rk.attacks.PGD(FLAGS.eval_both, FLAGS.eval_steps, seed=FLAGS.seed)
    matrix = rk.evaluation.transfer_matrix(models, split, attack, k=int(FLAGS.k), batch_size=128)
    plain = {
        "names": matrix["names"],
        "recall": matrix["recall"].tolist(),
        "clean_recall": matrix["clean_recall"].tolist(),
    }
    rk.reports.write_report(os.path.join(FLAGS.output, "transfer.json"), plain)
    rk.reports.pictures.transfer_heat_map(
        os.path.join(FLAGS.output, "transfer.png"), matrix, metric=f"recall@{FLAGS.k}"
    )
    print(f"\n{rk.reports.format_transfer(matrix)}")


def draw_found(models, split):
    """Draws what each model finds for the same random queries."""
    shown = [
        [{**row, "label": name} for row in rk.evaluation.retrieval_rows(model, split)]
        for name, model in models.items()
    ]
    rows = [row for of_one_query in zip(*shown) for row in of_one_query]
    rk.reports.pictures.retrieval_sheet(
        os.path.join(FLAGS.output, "retrieval.png"), rows, title="Random queries: the first ten"
    )


def draw_attacked(models, split):
    """Draws what each model finds for queries that are attacked on it."""
    attacks = (
        common_flags.pgd(FLAGS.eval_both, FLAGS.seed),
        common_flags.search(FLAGS.seed, rk.attacks.WholeWords()),
    )
    rows = rk.evaluation.rows_under_attack(models, split, *attacks, seed=FLAGS.seed)
    changed = f"{round(255 * FLAGS.eval_both, 2):g}/255, {common_flags.counted('word')}"
    rk.reports.pictures.retrieval_sheet(
        os.path.join(FLAGS.output, "attacked.png"),
        rows,
        title=f"Random queries that all models answer, attacked: {changed}",
    )


if __name__ == "__main__":
    app.run(main)
