r"""Attacks a model with AutoAttack of other authors, and counts what this library's has missed.

    pip install --no-deps torchattacks
    KERAS_BACKEND=torch python recipes/foreign_attacks.py --model=runs/demo/rocmr/model.keras \
        --kinds --epsilon=2/255

The model becomes a classifier of images whose classes are the captions. All attacks are run on the
same image queries, those that are right at k when clean, and an image counts as broken at k if no
right caption is among the first k then. Foreign attacks know the first rank only; at k = 5 the four
nearest wrong captions are hidden from them, so that their first rank is our fifth. What they
find is projected onto the budget before it is counted. The table says how many queries fall to
theirs alone, to `auto_attack` alone, to both and to neither, with the share of what `auto_attack`
says still right that is broken all the same, and its standard error.

`--attacks` are those of the package torchattacks (pip) by name, and `fra31`, the authors' own,
whose folder is `--auto_attack` (a clone of github.com/fra31/auto-attack). Only on the torch
backend. A row is written as soon as it is known; a robust image costs fra31 half a minute and more.
"""

import importlib
import os
import time

import common_flags
import numpy as np
import run_report
from absl import app
from absl import flags
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_string("model", None, "Model file (`.keras`).", required=True)
flags.DEFINE_string("output", "runs/foreign_attacks", "Folder for the report.")
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to attack.")
common_flags.define_budget("epsilon", 2 / 255, "Image budget.")
flags.DEFINE_list("versions", "fast,standard", "Of `auto_attack`.")
flags.DEFINE_list(
    "attacks",
    "apgd_ce,apgd_t,fab_t,square",
    "Of torchattacks apgd_ce, apgd_t, fab_t, square and autoattack; of the authors fra31.",
)
flags.DEFINE_string("auto_attack", None, "Folder with the package autoattack, for fra31.")
flags.DEFINE_list("ranks", "1,5,10", "The k at which queries must fall.")
flags.DEFINE_integer(
    "num_queries", 0, "So many for each k, at random among those right at k when clean; 0: all."
)
flags.DEFINE_integer("steps", 100, "Of foreign gradient attacks; autoattack and fra31 have own.")
flags.DEFINE_integer("square_queries", 5000, "Of the foreign Square.")
flags.DEFINE_integer("batch_size", 64, "Images at once.")
flags.DEFINE_integer("seed", 0, "Of all attacks, and of the choice of queries.")


def main(_):
    attacks = foreign()
    model = run_report.load_model(FLAGS.model)
    model.trainable = False
    run_report.write_flags(FLAGS.output)
    split = common_flags.load_chosen(FLAGS.split)
    encoded = rk.evaluation.EncodedSplit(model, split, batch_size=FLAGS.batch_size, verbose=0)
    queries = {int(k): draw(encoded.rank("image_to_text"), int(k)) for k in FLAGS.ranks}
    report = {"own": {}, "rows": []}
    own = run_own(model, encoded, np.unique(np.concatenate(list(queries.values()))), report)
    print(HEADER)
    for k, chosen in queries.items():
        classifier = attacks.CaptionClassifier(model, encoded, k)
        for name in FLAGS.attacks:
            ranks, seconds = run_foreign(attacks, classifier, name, chosen)
            for version, known in own.items():
                row = {"k": k, "foreign": name, "own": version}
                row |= attacks.count_broken(ranks > k, known.take(chosen).ranks > k)
                report["rows"].append({**row, "cpu_seconds": seconds})
                print(as_line(report["rows"][-1]), flush=True)
            rk.reports.write_report(os.path.join(FLAGS.output, "report.json"), report)


def foreign():
    """Returns the module of foreign attacks, or says what they lack."""
    if keras.config.backend() != "torch":
        raise app.UsageError("These attacks know PyTorch only: set KERAS_BACKEND=torch.")
    attacks = importlib.import_module("foreign_classifier")
    unknown = sorted(set(FLAGS.attacks) - set(attacks.ATTACKS))
    if unknown:
        known = ", ".join(attacks.ATTACKS)
        raise app.UsageError(f"--attacks must be among {known}. Received: {', '.join(unknown)}.")
    lacking = attacks.lacking(FLAGS.attacks, FLAGS.auto_attack)
    if lacking:
        raise app.UsageError(lacking)
    return attacks


def draw(clean, k):
    """Draws queries that are right at k when clean; returns their positions, ascending."""
    right = clean.queries[clean.ranks <= k]
    order = np.random.default_rng(FLAGS.seed).permutation(len(right))
    return right[np.sort(order[: FLAGS.num_queries or len(right)])]


def run_own(model, encoded, queries, report):
    """Attacks queries with each version of `auto_attack`; returns the worst `Ranking` of each."""
    relevance, alone = encoded.relevance("image_to_text"), np.zeros(0, int)
    right = {query: np.flatnonzero(relevance.mask([query])[0]) for query in queries}
    lists = [right.get(query, alone) for query in range(len(relevance))]
    options = {"batch_size": FLAGS.batch_size, "seed": FLAGS.seed, "return_ranks": True}
    worst = {}
    for version in FLAGS.versions:
        figures, ranks = rk.evaluation.auto_attack(
            model,
            encoded.split,
            FLAGS.epsilon,
            version=version,
            ground_truth={"image_to_text": lists},
            **options,
        )
        report["own"][version] = figures["attacks"]["auto query"]
        worst[version] = ranks["auto query"]["image_to_text"]
    return worst


def run_foreign(attacks, classifier, name, queries):
    """Attacks queries with a foreign attack; returns their ranks, and CPU seconds."""
    settings = FLAGS.steps, FLAGS.square_queries, FLAGS.seed
    began = time.process_time()
    run = attacks.build(name, classifier, FLAGS.epsilon, *settings)
    found = attacks.attack(classifier, run, queries, FLAGS.epsilon, FLAGS.batch_size)
    seconds = round(time.process_time() - began, 1)
    ranking = classifier.encoded.rank("image_to_text", queries=found, only=queries)
    return ranking.ranks, seconds


HEADER = """\
Queries right at k when clean: broken by both, by one alone; the share of those that `auto_attack`
says still right which the foreign attack breaks, with its standard error.

| k | foreign | own | queries | both | own alone | foreign alone | own: right | beyond | CPU s |
|---|---|---|---|---|---|---|---|---|---|"""


def as_line(row):
    beyond = f"{100 * row['share']:.1f} ± {100 * row['standard_error']:.1f} %"
    if row["at_most"] is not None:
        beyond = f"0 (at most {100 * row['at_most']:.1f} % at 95 %)"
    names = ("k", "foreign", "own", "queries", "both", "own_alone", "foreign_alone", "left_by_own")
    cells = [*(str(row[name]) for name in names), beyond, f"{row['cpu_seconds']:.0f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    app.run(main)
