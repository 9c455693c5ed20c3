r"""Makes a trained dual encoder robust, and reports what an attack leaves of it.

    KERAS_BACKEND=torch python recipes/finetune.py --model=runs/standard/model.keras \
        --preset=tecoa --output=runs/tecoa

goes on from the weights of a model and writes what `train.py` writes, so that
`evaluate.py` and `compare.py` take the output as well. `--preset=fare` and `leaf` train one tower
against a frozen copy of the model and freeze the rest by themselves; LEAF's own attack is
`--text_attack=characters`, `--text_attack=edits` is what people do to a caption.
`--freeze_images=2` trains the last two blocks of the image tower, `--lora_rank=8` low-rank
updates of whatever tower is not frozen; `--layer_decay=0.75` slows down the first layers.
"""

import common_flags
import run_report
import training
import validation
from absl import app
from absl import flags
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
training.define_training_flags(epochs=5, learning_rate=1e-4, weight_decay=1e-4)
for module in (common_flags, training, validation):
    flags.adopt_module_key_flags(module)
flags.DEFINE_string(
    "model",
    None,
    "path.keras of a model or trainer, preset:HANDLE of KerasHub, or offline:NAME of packages.",
    required=True,
)
flags.DEFINE_integer("image_size", 128, "Side of the images in pixels, for offline:NAME.")
flags.DEFINE_integer("sequence_length", 32, "Tokens of a caption, for offline:NAME.")
flags.DEFINE_integer("projection_dim", 256, "Width of the common space, for offline:NAME.")
for side in ("images", "texts"):
    flags.DEFINE_string(
        f"freeze_{side}",
        "none",
        "none, tower, all (the projection too), or how many of the last blocks train.",
    )
flags.DEFINE_bool("freeze_batch_norm", True, "Use and keep the moving statistics.")
flags.DEFINE_integer("lora_rank", 0, "Rank of LoRA in the towers that train; 0: no LoRA.")
flags.DEFINE_float("layer_decay", 1.0, "Learning rate of a block, of the next one's.")
flags.DEFINE_integer(
    "hard_negatives", 0, "Pairs that --model confuses, so many side by side in a batch; 0: none."
)
flags.DEFINE_bool("remat", False, "Compute blocks again, to save memory.")
flags.DEFINE_float("ema", 0.0, "Momentum of the average of weights; 0: no average.")


def load_model():
    """Returns the model that `--model` names."""
    kind, _, name = FLAGS.model.partition(":")
    if kind == "preset":
        return rk.models.DualEncoder.from_preset(name)
    if kind == "offline":
        size = (FLAGS.image_size, FLAGS.image_size)
        return rk.models.pretrained(
            name,
            image_size=size,
            sequence_length=FLAGS.sequence_length,
            projection_dim=FLAGS.projection_dim,
        )
    return run_report.load_model(FLAGS.model)


def choose_what_trains(model):
    """Freezes what the flags name, and what the terms do not train."""
    terms = training.read_terms()
    choices = {"images": FLAGS.freeze_images, "texts": FLAGS.freeze_texts}
    for modality, choice in choices.items():
        idle = not terms.retrieves() and not terms.refers(modality)
        choices[modality] = "all" if idle else int(choice) if choice.isdigit() else choice
    model.freeze(**choices, similarity=not terms.retrieves(), batch_norm=FLAGS.freeze_batch_norm)
    towers = {"images": model.image_encoder, "texts": model.text_encoder}
    for modality, tower in towers.items():
        if FLAGS.lora_rank and choices[modality] not in ("tower", "all"):
            rk.fine_tuning.enable_lora(tower, FLAGS.lora_rank)
        if FLAGS.precision != "float32":
            rk.fine_tuning.set_precision(tower, FLAGS.precision)
        if FLAGS.remat:
            rk.fine_tuning.rematerialize(tower)


def choose_optimizer(model):
    """Returns the class of the optimizer, and what it needs beside rate and decay."""
    options = {"multipliers": rk.fine_tuning.layerwise_multipliers(model, FLAGS.layer_decay)}
    if FLAGS.layer_decay == 1.0:
        options = {}
    if FLAGS.ema:
        # Keras puts the average in place of the weights when training ends.
        options |= {"use_ema": True, "ema_momentum": FLAGS.ema}
    layerwise = "multipliers" in options
    return rk.fine_tuning.LayerwiseAdamW if layerwise else keras.optimizers.AdamW, options


def main(_):
    with training.on_devices() as is_first:
        splits = training.start()
        model = load_model()
        choose_what_trains(model)
        optimizer, options = choose_optimizer(model)
        training.train(model, splits, optimizer, FLAGS.hard_negatives, **options)
    if is_first:
        training.report(model, splits)


if __name__ == "__main__":
    app.run(main)
