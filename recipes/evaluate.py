r"""Attacks a trained model, on whichever backend, and reports what is left of it.

    KERAS_BACKEND=torch python recipes/evaluate.py --model=runs/rocmr/model.keras

prints the table of clean and adversarial recall and a verdict, and writes `report.json`,
`report.html` and the pictures to the output folder. The data are those of the run, as `flags.txt`
beside the model has them, where no data flag names others. Captions meet "one word", which can be
typed, "one token" of any kind, which is stronger, and "one edit" of those that people make.
`--attacks=standard` runs AutoAttack instead of the listed attacks, on the budgets `--eval_both`
and `--eval_substitutions`, on captions by words, edits and characters (`--eval_text=tokens` for
the stronger threat of free tokens). `--attacks=joint` compares the attacks on images and captions
at once on the same budgets: recall, and in how many groups of an image and its captions one is at
least as strong as another (a minute on the torch backend, several to compile on the others).
`--protocol=co_attack` and `--protocol=sga` run the published attacks on both sides at their
budget: 2/255, one word, 10 steps. The report gives the success of each as its paper counts it:
`recall_drop` for Co-Attack, `attack_success_rate` for SGA. `--transfer_to=other.keras` also tries
what was found on each of the two models on the other one. Words are chosen by the text tower's
gradient here, not by the masked language model of the papers.
`--entry=board/rocmr.json` writes an entry of a leaderboard: figures, budgets, versions, the
checksum of the weights and the verdict of the audit; `compare.py --entries=board` reads them.
`--attacks=corruptions` prints recall under changes that need no attacker (light, blur, JPEG, a
shift) by kind and severity, beside PGD: whom attacks leave standing these may not.
`--universal` learns one change for all images on one half of them, at `--eval_both`, and measures
the other half. `--certify=0.12` certifies recall by randomised smoothing with that noise, prints
the share of queries that hold over the l2 radius, and draws it.
`--curve` also attacks images at each of `--eval_epsilons`, for the figure that `compare.py` draws.
`--audit` looks for signs that the model hides its gradients, and ends in "sound", "caution" or
"masked" with the reason. `--rows=rows.csv` (or `.parquet`) writes a row for each query and attack
with its ranks before and after; `--rows_images=FOLDER` attacks the queries whose rank changed once
more and adds what was found, captions to the rows, pictures as PNG to the folder. One file gives
the same recall on each backend, clean and with `--noeval_random_start` also under PGD; random
starts differ from one backend to the next.
"""

import dataclasses
import os

import common_flags
import run_report
from absl import app
from absl import flags
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
flags.DEFINE_string("model", None, "Model file (`.keras`).", required=True)
flags.DEFINE_string("output", "runs/evaluate", "Folder for report and pictures.")
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to attack.")
flags.DEFINE_enum(
    "attacks",
    "listed",
    ["listed", "joint", "corruptions", "fast", "standard", "none"],
    "Those of the eval flags, the joint ones, corruptions, AutoAttack (fast for a look, standard "
    "to publish), or none.",
)
common_flags.define_norm_flag()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_enum(
    "protocol", None, list(common_flags.PROTOCOLS), "A published attack, instead of --attacks."
)
flags.DEFINE_string("transfer_to", None, "Model file that meets what --protocol found.")
flags.DEFINE_bool("curve", False, "Measure recall over --eval_epsilons, for compare.py.")
flags.DEFINE_bool("universal", False, "Learn one change for all images, at --eval_both.")
flags.DEFINE_float("certify", None, "Noise of randomised smoothing, e.g. 0.12; none: not.")
flags.DEFINE_integer("certify_copies", 100, "Noisy copies of an image; more certify farther.")
flags.DEFINE_integer("certify_k", 1, "The first items among which a right one must be.")
flags.DEFINE_bool("audit", False, "Look for hidden gradients, at --eval_both.")
flags.DEFINE_string("audit_source", None, "Model file whose adversarial images the audit tries.")
flags.DEFINE_string("entry", None, "File of an entry for a leaderboard.")
flags.DEFINE_string("rows", None, "File for a row per query and attack, .csv or .parquet.")
flags.DEFINE_string("rows_images", None, "Folder for attacked pictures; adds captions to --rows.")
flags.DEFINE_bool("pictures", True, "Draw pictures and the page.")
flags.DEFINE_integer("seed", 0, "Of the attacks.")


def run_audit(model, split):
    """Audits the model on the first hundred images of the split."""
    source = run_report.load_model(FLAGS.audit_source) if FLAGS.audit_source else None
    subset = split.subset(min(100, len(split.images)))
    return rk.evaluation.audit(model, subset, FLAGS.eval_both, source=source, seed=FLAGS.seed)


def run_curve(model, split):
    """Measures the recall of images over the budgets, each attack from where the last ended."""
    budgets = [0.0, *common_flags.parse_budgets(FLAGS.eval_epsilons)]
    attack = common_flags.pgd(FLAGS.eval_both, FLAGS.seed)
    found = rk.evaluation.epsilon_curve(model, split, attack, budgets, batch_size=128)
    recalls = {
        f"recall_at_{k}": [rk.metrics.recall_at_k(ranks, k) for ranks in found["ranks"]]
        for k in (1, 5, 10)
    }
    budget = rk.evaluation.Threat(attack).describe()
    return {"budget": budget, "epsilon": found["epsilon"], **recalls}


def run_universal(model, split):
    """Learns one change for all images, and measures it on those that it was not learnt on."""
    _, figures = rk.evaluation.universal_perturbation(
        model, split, FLAGS.eval_both, batch_size=128, seed=FLAGS.seed
    )
    print(rk.reports.format_report(figures))
    return figures["attacks"]["universal"]


def run_certified(model, split):
    """Certifies recall over the l2 radius, and draws it."""
    k = FLAGS.certify_k
    smoothing = rk.evaluation.Smoothing(FLAGS.certify, FLAGS.certify_copies, seed=FLAGS.seed)
    found = rk.evaluation.certified_recall(model, split, smoothing, k, batch_size=128)
    lines = [f"| l2 radius | certified recall@{k} |", "|---|---|"]
    lines += [
        f"| {radius:.3f} | {100 * recall:.1f} |"
        for radius, recall in list(zip(found["radius"], found["recall"]))[::4]
    ]
    print("\n".join(lines))
    label, path = run_report.label_of(FLAGS.output), os.path.join(FLAGS.output, "certified.png")
    if FLAGS.pictures:
        metric = f"certified recall@{k}"
        rk.reports.pictures.recall_against_radius(path, {label: found}, metric=metric)
    curve = {name: found[name] for name in ("radius", "recall", "clean_recall")}
    return {"k": k, "smoothing": dataclasses.asdict(smoothing), **curve}


def run_transfer(model, split):
    """Tries what the protocol finds on each of two models on both of them."""
    models = {"model": model, "other": run_report.load_model(FLAGS.transfer_to)}
    attack = common_flags.protocol_attack(FLAGS.protocol, FLAGS.seed)
    matrix = rk.evaluation.transfer_matrix(models, split, attack, batch_size=128)
    print(rk.reports.format_transfer(matrix))
    return {"names": matrix["names"], "k": 1, "directions": matrix["directions"]}


def main(_):
    if (FLAGS.audit or FLAGS.universal) and FLAGS.eval_norm != "linf":
        raise app.UsageError(
            "--audit and --universal attack in linf. Run them by themselves, --attacks=none."
        )
    if FLAGS.transfer_to and not FLAGS.protocol:
        raise app.UsageError("--transfer_to needs a --protocol, co_attack or sga.")
    common_flags.adopt_data_flags(FLAGS.model)
    model = run_report.load_model(FLAGS.model)
    run_report.write_flags(FLAGS.output)
    split = common_flags.load_chosen(FLAGS.split)
    runs = (
        ("audit", FLAGS.audit, run_audit),
        ("curve", FLAGS.curve, run_curve),
        ("universal", FLAGS.universal, run_universal),
        ("certified", FLAGS.certify is not None, run_certified),
        ("transfer", FLAGS.transfer_to, run_transfer),
    )
    extra = {name: run(model, split) for name, is_wanted, run in runs if is_wanted}
    attacks = FLAGS.protocol or FLAGS.attacks
    rows = (FLAGS.rows, FLAGS.rows_images) if FLAGS.rows else None
    figures = run_report.report(
        model, split, FLAGS.output, FLAGS.seed, attacks, extra, rows, FLAGS.pictures
    )
    if FLAGS.entry:
        run_report.write_entry(FLAGS.entry, figures, model, split, FLAGS.split)


if __name__ == "__main__":
    app.run(main)
