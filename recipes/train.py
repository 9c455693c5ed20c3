r"""Trains a dual encoder, robustly or not, and reports what an attack leaves of it.

    KERAS_BACKEND=tensorflow python recipes/train.py --output=runs/rocmr

trains RoCMR on emoji with a budget of 8/255. Keras's progress bar shows the loss and
the recall within a batch, clean and adversarial; then the test set is attacked and a
table and a verdict printed. The output folder holds `model.keras`, `flags.txt`, `history.csv`,
`report.json`, the same for people as `report.html`, `state.npz` (for `--resume`) and the
pictures `retrieval.png`, `adversarial.png` and `epsilon.png`.
`--flagfile=runs/rocmr/flags.txt` repeats a run.
`--devices=all` trains on all devices; with PyTorch start `torchrun --nproc_per_node=gpu` instead of
`python`. Several processes on JAX know each other by Keras's KERAS_DISTRIBUTION_JOB_ADDRESSES,
KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID.
`--text_tower=minilm_words` has the pretrained words of MiniLM (extra `pretrained`) instead of a
vocabulary learnt from the captions; `--text_tower=runs/start/model.keras` has the text tower of a
trained model, which stays as it is. Where captions are few, the images alone are left to learn.
The presets fare and leaf need a trained model: `finetune.py`.
"""

import os

import common_flags
import run_report
import training
import validation
from absl import app
from absl import flags
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_preprocessor_flags()
common_flags.define_evaluation_flags()
training.define_training_flags(epochs=30, learning_rate=2e-3, weight_decay=0.05)
for module in (common_flags, training, validation):
    flags.adopt_module_key_flags(module)
flags.DEFINE_enum("size", "tiny", ["base", "clip_b32", "small", "tiny"], "Size of the towers.")
flags.DEFINE_enum("image_tower", "cnn", ["cnn", "vit"], "Kind of image encoder.")
flags.DEFINE_string(
    "text_tower",
    "own",
    "own: fresh; minilm_words: pretrained words; path.keras: that model's, frozen.",
)
flags.register_validator(
    "text_tower",
    lambda value: value in ("own", "minilm_words") or os.path.exists(value),
    "write own, minilm_words, or the path of a model",
)
flags.DEFINE_float("dropout", 0.1, "In the transformers.")


def build_model(train):
    options = {"image_tower": FLAGS.image_tower, "dropout": FLAGS.dropout}
    size = (FLAGS.image_size, FLAGS.image_size)
    if FLAGS.text_tower == "own":
        preprocessor = common_flags.make_preprocessor(train.captions)
        return rk.models.build(FLAGS.size, preprocessor, **options)
    if FLAGS.text_tower == "minilm_words":
        preprocessor = rk.models.minilm_preprocessor(FLAGS.sequence_length, size)
        words = rk.models.minilm_words(FLAGS.sequence_length, train_table=True)
        return rk.models.build(FLAGS.size, preprocessor, text_encoder=words, **options)
    return build_beside(run_report.load_model(FLAGS.text_tower), size, options)


def build_beside(model, image_size, options):
    """Returns a fresh image tower beside the text side of a model, which is frozen."""
    config = {**model.preprocessor.get_config(), "image_size": image_size}
    preprocessor = type(model.preprocessor).from_config(config)
    shared = ("text_encoder", "projection_dim", "use_logit_bias")
    options |= {name: getattr(model, name) for name in shared}
    beside = rk.models.build(FLAGS.size, preprocessor, **options)
    if model.projection_dim is not None:
        beside.text_projection.set_weights(model.text_projection.get_weights())
    beside.similarity_head.set_weights(model.similarity_head.get_weights())
    beside.freeze(texts="all")
    return beside


def main(_):
    with training.on_devices() as is_first:
        splits = training.start()
        model = build_model(splits["train"])
        training.train(model, splits)
    if is_first:
        training.report(model, splits)


if __name__ == "__main__":
    app.run(main)
