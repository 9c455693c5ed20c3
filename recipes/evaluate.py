r"""Attacks a trained model, on whichever backend, and reports what is left of it.

    KERAS_BACKEND=torch python recipes/evaluate.py --model=runs/rocmr/model.keras

prints the table of clean and adversarial recall and a verdict, and writes `report.json`,
`report.html` and the pictures to the output folder. Captions meet "one word", which can be
typed, "one token" of any kind, which is stronger, and "one edit" of those that people make.
`--attacks=standard` runs AutoAttack instead of the listed attacks, on the budgets `--eval_both`
and `--eval_substitutions`, on captions by words, edits and characters (`--eval_text=tokens` for
the stronger threat of free tokens). `--attacks=joint` compares the attacks on images and captions
at once on the same budgets: recall, and in how many groups of an image and its captions one is at
least as strong as another (a minute on the torch backend, several to compile on the others).
`--audit` looks for signs that the model hides its gradients, and ends in "sound", "caution" or
"masked" with the reason. `--rows=rows.csv` (or `.parquet`) writes a row for each query and attack
with its ranks before and after; `--rows_images=FOLDER` attacks the queries whose rank changed once
more and adds what was found, captions to the rows, pictures as PNG to the folder. One file gives
the same recall on each backend, clean and with `--noeval_random_start` also under PGD; random
starts differ from one backend to the next.
"""

import common_flags
import keras
import run_report
from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
flags.DEFINE_string("model", None, "Model file (`.keras`).", required=True)
flags.DEFINE_string("output", "runs/evaluate", "Folder for report and pictures.")
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to attack.")
flags.DEFINE_enum(
    "attacks",
    "listed",
    ["listed", "joint", "fast", "standard", "none"],
    "Those of the eval flags, the joint ones, AutoAttack (fast for a look, standard to publish), "
    "or none.",
)
flags.DEFINE_bool("audit", False, "Look for hidden gradients, at --eval_both.")
flags.DEFINE_string("audit_source", None, "Model file whose adversarial images the audit tries.")
flags.DEFINE_string("rows", None, "File for a row per query and attack, .csv or .parquet.")
flags.DEFINE_string("rows_images", None, "Folder for attacked pictures; adds captions to --rows.")
flags.DEFINE_integer("seed", 0, "Of the attacks.")


def run_audit(model, split):
    """Audits the model on the first hundred images of the split."""
    source = keras.saving.load_model(FLAGS.audit_source) if FLAGS.audit_source else None
    subset = split.subset(min(100, len(split.images)))
    return rk.evaluation.audit(model, subset, FLAGS.eval_both, source=source, seed=FLAGS.seed)


def main(_):
    model = keras.saving.load_model(FLAGS.model)
    run_report.write_flags(FLAGS.output)
    split = common_flags.choose_images(common_flags.load_data()[FLAGS.split])
    extra = {"audit": run_audit(model, split)} if FLAGS.audit else {}
    rows = (FLAGS.rows, FLAGS.rows_images) if FLAGS.rows else None
    run_report.report(model, split, FLAGS.output, FLAGS.seed, FLAGS.attacks, extra, rows)


if __name__ == "__main__":
    app.run(main)
