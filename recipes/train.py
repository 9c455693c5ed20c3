r"""Trains a dual encoder, robustly or not, and reports what an attack leaves of it.

    KERAS_BACKEND=tensorflow python recipes/train.py --output=runs/rocmr

trains RoCMR on emoji with a budget of 8/255. Keras's progress bar shows the loss and
the recall within a batch, clean and adversarial; then the test set is attacked and a
table and a verdict printed. The output folder holds `model.keras`, `flags.txt`, `history.csv`,
`report.json`, the same for people as `report.html`, `state.npz` (for `--resume`) and the
pictures `retrieval.png`, `adversarial.png` and `epsilon.png`.
`--flagfile=runs/rocmr/flags.txt` repeats a run.
The presets fare and leaf need a trained model: `finetune.py`.
"""

import common_flags
import training
from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_evaluation_flags()
training.define_training_flags(epochs=30, learning_rate=2e-3, weight_decay=0.05)
flags.DEFINE_enum("size", "tiny", sorted(rk.models.SIZES), "Size of the towers.")
flags.DEFINE_enum("image_tower", "cnn", ["cnn", "vit"], "Kind of image encoder.")
flags.DEFINE_integer("image_size", 48, "Side of the images in pixels.")
flags.DEFINE_integer("vocabulary_size", 2000, "Word pieces learnt from the captions.")
flags.DEFINE_integer("sequence_length", 16, "Tokens of a caption; the rest is cut.")
flags.DEFINE_float("dropout", 0.1, "In the transformers.")


def build_model(train):
    preprocessor = rk.data.Preprocessor.from_captions(
        train.captions,
        vocabulary_size=FLAGS.vocabulary_size,
        sequence_length=FLAGS.sequence_length,
        image_size=(FLAGS.image_size, FLAGS.image_size),
    )
    return rk.models.build(FLAGS.size, preprocessor, FLAGS.image_tower, dropout=FLAGS.dropout)


def main(_):
    splits = training.start()
    training.train(build_model(splits["train"]), splits)


if __name__ == "__main__":
    app.run(main)
