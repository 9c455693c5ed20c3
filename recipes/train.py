r"""Trains a dual encoder, robustly or not, and reports what an attack leaves of it.

    KERAS_BACKEND=tensorflow python recipes/train.py --output=runs/rocmr

trains RoCMR on emoji with a budget of 8/255. Keras's progress bar shows the loss and
the recall within a batch, clean and adversarial; then the test set is attacked and a
table and a verdict printed. The output folder holds `model.keras`, `flags.txt`, `history.csv`,
`report.json`, the same for people as `report.html`, `state.npz` (for `--resume`) and the
pictures `retrieval.png`, `adversarial.png` and `epsilon.png`.
`--flagfile=runs/rocmr/flags.txt` repeats a run.
"""

import os

import common_flags
import keras
import run_report
from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
flags.DEFINE_string("output", "runs/train", "Folder for everything the run writes.")
flags.DEFINE_bool("resume", False, "Go on from the last epoch that was saved.")
flags.DEFINE_enum("preset", "rocmr", sorted(rk.trainers.PRESETS), "Training objective.")
flags.DEFINE_list(
    "terms", None, "Weights instead of the preset's: clean=0.1,adversarial_pairs=0.9."
)
flags.DEFINE_enum("size", "tiny", sorted(rk.models.SIZES), "Size of the towers.")
flags.DEFINE_enum("image_tower", "cnn", ["cnn", "vit"], "Kind of image encoder.")
flags.DEFINE_integer("image_size", 48, "Side of the images in pixels.")
flags.DEFINE_integer("vocabulary_size", 2000, "Word pieces learnt from the captions.")
flags.DEFINE_integer("sequence_length", 16, "Tokens of a caption; the rest is cut.")
common_flags.define_budget("image_epsilon", 8 / 255, "Training budget, linf on [0, 1].")
flags.DEFINE_integer("image_steps", 2, "PGD steps on images in training.")
flags.DEFINE_enum("text_attack", "embeddings", ["embeddings", "tokens"], "On texts.")
common_flags.define_budget("text_epsilon", 0.3, "Share of a token embedding's norm.")
flags.DEFINE_integer("text_steps", 2, "PGD steps on embeddings in training.")
flags.DEFINE_integer("text_candidates", 8, "Swaps tried exactly in training.")
flags.DEFINE_float("warmup", 0.3, "Share of the steps over which budgets rise from 0.")
flags.DEFINE_integer("epochs", 30, "Passes over the images.")
flags.DEFINE_integer("batch_size", 64, "Image-caption pairs in a batch.")
flags.DEFINE_float("learning_rate", 2e-3, "Peak of a warm-up and cosine schedule.")
flags.DEFINE_float("weight_decay", 0.05, "Of AdamW.")
flags.DEFINE_float("dropout", 0.1, "In the transformers.")
flags.DEFINE_float("shift", 0.1, "Augmentation: the most an image moves, of its side.")
flags.DEFINE_bool("mirror", False, "Augmentation: mirror half of the images.")
flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "Policy."
)
flags.DEFINE_integer("seed", 0, "Of weights, order, augmentation and attacks.")
flags.DEFINE_enum(
    "evaluate_on", "test", ["test", "validation", "none"], "Split to attack and report."
)


def build_model(train):
    preprocessor = rk.data.Preprocessor.from_captions(
        train.captions,
        vocabulary_size=FLAGS.vocabulary_size,
        sequence_length=FLAGS.sequence_length,
        image_size=(FLAGS.image_size, FLAGS.image_size),
    )
    return rk.models.build(
        FLAGS.size, preprocessor, FLAGS.image_tower, dropout=FLAGS.dropout
    )


def read_terms():
    """Returns the weights of the objective that the flags name."""
    if not FLAGS.terms:
        return rk.trainers.PRESETS[FLAGS.preset]
    named = (term.partition("=") for term in FLAGS.terms)
    return rk.trainers.Terms(**{name: float(weight) for name, _, weight in named})


def build_trainer(model, num_steps):
    terms = read_terms()
    text_attacks = {
        "embeddings": lambda: rk.attacks.EmbeddingPGD(
            FLAGS.text_epsilon, FLAGS.text_steps, keep_best=False, seed=FLAGS.seed
        ),
        "tokens": lambda: rk.attacks.TokenSubstitution(
            1, FLAGS.text_candidates, seed=FLAGS.seed
        ),
    }
    attacks = {}
    if terms.uses("adversarial_images"):
        attacks["image_attack"] = rk.attacks.PGD(
            FLAGS.image_epsilon, FLAGS.image_steps, keep_best=False, seed=FLAGS.seed
        )
    if terms.uses("adversarial_texts"):
        attacks["text_attack"] = text_attacks[FLAGS.text_attack]()
    trainer = rk.RoCMR(model, terms=terms, **attacks)
    warmup = num_steps // 20
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, num_steps - warmup, warmup_target=FLAGS.learning_rate, warmup_steps=warmup
    )
    trainer.compile(
        keras.optimizers.AdamW(
            rate, weight_decay=FLAGS.weight_decay, global_clipnorm=1.0
        )
    )
    return trainer


def fit(trainer, dataset, checkpoint, epoch, num_steps):
    log = os.path.join(FLAGS.output, "history.csv")
    callbacks = [checkpoint, keras.callbacks.CSVLogger(log, append=epoch > 0)]
    if trainer.image_attack or trainer.text_attack:
        steps = max(int(FLAGS.warmup * num_steps), 1)
        callbacks.insert(0, rk.callbacks.EpsilonWarmup(steps))
    trainer.fit(
        dataset,
        initial_epoch=epoch,
        epochs=FLAGS.epochs,
        callbacks=callbacks,
        shuffle=False,  # The dataset shuffles itself.
    )


def main(_):
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)
    run_report.write_flags(FLAGS.output)
    splits = common_flags.load_data()
    model = build_model(splits["train"])
    num_steps = FLAGS.epochs * -(-len(splits["train"]) // FLAGS.batch_size)
    trainer = build_trainer(model, num_steps)
    checkpoint = rk.callbacks.Checkpoint(os.path.join(FLAGS.output, "state.npz"))
    epoch = checkpoint.restore(trainer) if FLAGS.resume else 0
    dataset = rk.data.batches(
        splits["train"],
        model.preprocessor,
        FLAGS.batch_size,
        seed=FLAGS.seed,
        augment=rk.data.RandomShift(FLAGS.shift, FLAGS.mirror, seed=FLAGS.seed),
        initial_epoch=epoch,
    )
    fit(trainer, dataset, checkpoint, epoch, num_steps)
    run_report.save_model(model, os.path.join(FLAGS.output, "model.keras"))
    if FLAGS.evaluate_on != "none":
        run_report.report(model, splits[FLAGS.evaluate_on], FLAGS.output, FLAGS.seed)


if __name__ == "__main__":
    app.run(main)
