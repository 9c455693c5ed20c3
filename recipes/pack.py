r"""Decodes images and tokenises captions once, into folders that every run and backend can use.

    rocmr-keras pack --model=runs/rocmr/model.keras --dataset=folder --images=photos --output=packs

writes `packs/train`, `packs/validation` and `packs/test`, those that the data has, for the image
size and the vocabulary of the model. Without `--model` a vocabulary is learnt from the training
captions, as `train.py` does with the same flags: `train.py --pack=packs/train` then decodes
nothing. In Python, `rocmr_keras.data.open_pack("packs/test")` opens one without TensorFlow.
"""

import os

import common_flags
import run_report
from absl import app
from absl import flags
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
common_flags.define_preprocessor_flags()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_string("model", None, "Model file (`.keras`) whose preprocessor is used.")
flags.DEFINE_string("output", "packs", "Folder; each split gets a folder in it.")
flags.DEFINE_float(
    "max_bad_fraction", 0.0, "Share of the images that may be unreadable; they are left out."
)


def main(_):
    splits = common_flags.load_data()
    if not FLAGS.model and "train" not in splits:
        raise app.UsageError(
            "Without a training split, name the --model whose preprocessor to use."
        )
    if FLAGS.model:
        preprocessor = run_report.load_model(FLAGS.model).preprocessor
    else:
        preprocessor = common_flags.make_preprocessor(splits["train"].captions)
    for name, split in splits.items():
        folder = os.path.join(FLAGS.output, name)
        packed = rk.data.pack(split, preprocessor, folder, max_bad_fraction=FLAGS.max_bad_fraction)
        print(f"{folder}: {len(packed)} images, {len(packed.captions)} captions.")


if __name__ == "__main__":
    app.run(main)
