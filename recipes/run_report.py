"""What `train.py` and `evaluate.py` write about a model: figures, table, pictures, page."""

import functools
import importlib
import logging
import os
import pathlib
import platform

import common_flags
import numpy as np
from absl import flags
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS

# Every attack is traced once, on purpose; TensorFlow takes that for an oversight.
logging.getLogger("tensorflow").addFilter(
    lambda record: "triggered tf.function retracing" not in record.getMessage()
)


def write_flags(output):
    """Writes the flags of the run, as `--flagfile` reads them."""
    lines = sorted({flag.serialize() for flag in own_flags().values()} - {""})
    with rk.files.replacing(os.path.join(output, "flags.txt")) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def save_model(model, path):
    """Saves towers, preprocessor and vocabulary, finite and whole or not at all."""
    rk.callbacks.check_finite(model.variables)
    with rk.files.replacing(path) as temporary:
        model.save(temporary)


def load_model(path):
    """Loads a dual encoder, also out of a trainer, which `ModelCheckpoint` saves."""
    model = keras.saving.load_model(path)
    return getattr(model, "dual_encoder", model)


def report(model, split, output, seed, attacks="listed", extra=None, rows=None, pictures=True):
    """Attacks the split, prints table and verdict, writes `report.json`, the pictures and a page.

    `attacks` is `"listed"`, those of the evaluation flags, `"joint"`, the joint ones of these
    flags, `"corruptions"`, a published protocol, a version of AutoAttack, or `"none"`; `extra`,
    a dict, is written into the report too; `rows`, paths of a file and of a folder or `None`,
    gets a row for each query and attack; without `pictures` there is no page either. Returns the
    report.
    """
    figures, ranks = measure(model, split, seed, attacks, return_ranks=True)
    figures.update(extra or {})
    rk.reports.write_report(os.path.join(output, "report.json"), figures)
    print(rk.reports.format_report(figures))
    if "margins" in figures:
        print(f"\n{rk.evaluation.format_margins(figures['margins'])}")
    if attacks == "corruptions":
        print(f"\n{rk.reports.format_corruptions(figures)}")
    print(f"\n{rk.reports.verdict(figures)}\n")
    if rows:
        write_rows(model, split, figures, ranks, _threats(split, seed, attacks), *rows)
    if attacks == "none" or not pictures:
        return figures
    threats = common_flags.threats(seed, split.captions)
    draw(model, split, output, figures, threats)
    write_page(model, split, output, figures, threats, seed)
    print(f"Page, pictures, figures and the model are in {output}.")
    return figures


def write_entry(path, figures, model, split, split_name):
    """Writes the entry of a leaderboard, which bears the name of the file."""
    described = {
        "name": pathlib.Path(path).stem,
        "sha256": rk.evaluation.weights_sha256(model),
        "parameters": model.count_params(),
    }
    data = {
        "dataset": FLAGS.dataset,
        "split": split_name,
        "sha256": rk.evaluation.split_sha256(split),
    }
    entry = rk.reports.leaderboard_entry(figures, described, data, figures["run"]["versions"])
    rk.reports.write_report(path, entry)


def measure(model, split, seed, attacks="listed", return_ranks=False):
    """Attacks the split and returns the figures, with the run that made them.

    With `return_ranks` a tuple of these and the ranks of all queries.
    """
    options = {"batch_size": 128, "return_ranks": True}
    threats = _threats(split, seed, attacks)
    if threats is not None:
        figures, ranks = rk.evaluation.evaluate(model, split, threats, **options)
    else:
        budget = FLAGS.eval_both, FLAGS.eval_substitutions
        options.update(version=attacks, seed=seed, norm=FLAGS.eval_norm)
        if FLAGS.eval_text:
            options["text"] = FLAGS.eval_text
        figures, ranks = rk.evaluation.auto_attack(model, split, *budget, **options)
    if attacks == "joint":
        figures["margins"] = rk.evaluation.compare_margins(figures)
    figures["run"] = {
        "flags": {name: flag.value for name, flag in own_flags().items()},
        "backend": keras.config.backend(),
        "versions": versions(),
        "batch_size": 128,
        "parameters": model.count_params(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    return (figures, ranks) if return_ranks else figures


def _threats(split, seed, attacks):
    """Returns the threats by name, `None` where AutoAttack chooses them."""
    makers = {
        "none": lambda: {},
        "listed": lambda: common_flags.threats(seed, split.captions),
        "joint": lambda: common_flags.joint_threats(seed),
        "corruptions": lambda: common_flags.corruptions(seed),
        **{
            name: functools.partial(common_flags.protocol_threats, name, seed)
            for name in common_flags.PROTOCOLS
        },
    }
    return makers[attacks]() if attacks in makers else None


def write_rows(model, split, figures, ranks, threats, path, pictures=None):
    """Writes a row for each query and attack; with a folder also what was attacked."""
    if pictures:
        rows = rk.evaluation.attacked_rows(model, split, figures, ranks, threats, batch_size=128)
    else:
        rows = rk.evaluation.query_rows(split, figures, ranks)
    rk.reports.write_rows(path, rows, pictures)
    print(f"Rows are in {path}.")


def versions():
    """Returns the version of everything that computes; TensorFlow reads the data."""
    names = {"keras", "keras_hub", "tensorflow", keras.config.backend()}
    loaded = {name: importlib.import_module(name).__version__ for name in sorted(names)}
    own = {"rocmr_keras": rk.__version__, "python": platform.python_version()}
    return {**own, "numpy": np.__version__, **loaded}


def draw(model, split, output, figures, threats):
    """Draws the retrieval sheet, adversarial examples and the recall over epsilon."""
    label = label_of(output)
    rows = rk.evaluation.retrieval_rows(model, split)
    path = os.path.join(output, "retrieval.png")
    rk.reports.pictures.retrieval_sheet(path, rows, title=f"{label}: random queries, the first ten")
    strongest = f"pgd{FLAGS.eval_steps} {FLAGS.eval_epsilons[-1]}"
    word = common_flags.counted("word")
    examples = rk.evaluation.adversarial_pairs(
        model, split, threats[strongest].image_attack, threats[word].text_attack
    )
    path = os.path.join(output, "adversarial.png")
    title = f"{label}: {strongest} on images, {word} of captions"
    rk.reports.pictures.adversarial_examples(path, examples, title=title)
    if strongest in figures["attacks"]:
        rk.reports.pictures.recall_against_epsilon(
            os.path.join(output, "epsilon.png"),
            {label: rk.reports.recall_curve([figures])},
            title=f"image->text under PGD-{FLAGS.eval_steps} on the query",
        )


def write_page(model, split, output, figures, threats, seed):
    """Writes `report.html`, with the worst failures of queries that were attacked alone."""
    failures = find_failures(model, split, figures, threats, seed)
    path = os.path.join(output, "report.html")
    label = label_of(output)
    rk.reports.write_html_report(path, figures, failures, title=label)


def label_of(output):
    """Returns what pictures call the model of an output folder: the name of the folder."""
    return os.path.basename(os.path.normpath(output))


def find_failures(model, split, figures, threats, seed):
    """Returns AutoAttack's own, or those of the strongest attacks that were listed."""
    if "auto query" in figures["attacks"]:
        return {"auto query": rk.evaluation.auto_attack_failures(model, split, figures)}
    return {
        name: rk.evaluation.worst_failures(model, split, threats[name], seed=seed)
        for name in (
            f"pgd{FLAGS.eval_steps} {FLAGS.eval_epsilons[-1]}",
            common_flags.counted("word"),
            common_flags.counted("edit"),
        )
        if name in figures["attacks"]
    }


def own_flags():
    """Returns the flags of the recipes themselves by name, a dict of absl's `Flag`."""
    modules = ("__main__", "common_flags", "run_folder", "training", "validation")
    own = {flag.name for name in modules for flag in FLAGS.get_flags_for_module(name)}
    return {name: FLAGS[name] for name in sorted(own)}
