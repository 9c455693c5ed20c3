"""Looks at the validation split after each epoch, for `train.py` and `finetune.py`."""

import os

from absl import app
from absl import flags
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS


def define_flags():
    """Defines what is looked at after each epoch, and what follows."""
    flags.DEFINE_bool(
        "keep_best",
        False,
        "Attack the validation split after each epoch, and keep the weights of the epoch with the "
        "highest recall within a batch, attacked where there is an attack; else the last ones.",
    )
    flags.DEFINE_integer(
        "early_stopping", 0, "Epochs without a better one until training stops; 0: never."
    )
    flags.DEFINE_bool(
        "tensorboard", False, "Log to OUTPUT/tensorboard; needs the extra `tensorboard`."
    )


def is_asked_for():
    """Says whether the flags ask for validation."""
    return FLAGS.keep_best or FLAGS.early_stopping > 0


def split_of(splits):
    """Returns the validation split; refuses where there is none."""
    if "validation" not in splits:
        raise app.UsageError(
            "--keep_best and --early_stopping need a validation split. Received: the splits "
            f"{', '.join(splits)}. Name one in the data."
        )
    return splits["validation"]


def callbacks(trainer, is_first):
    """Returns the callbacks that the flags ask for, in the first process or in another one."""
    made = []
    if is_asked_for():
        attacked = trainer.image_attack or trainer.text_attack
        made.append(
            keras.callbacks.EarlyStopping(
                monitor="val_adversarial_recall_at_1" if attacked else "val_recall_at_1",
                mode="max",
                patience=FLAGS.early_stopping or FLAGS.epochs,
                restore_best_weights=True,
                verbose=int(is_first),
            )
        )
    if FLAGS.tensorboard and is_first:
        folder = os.path.join(FLAGS.output, "tensorboard")
        made.append(keras.callbacks.TensorBoard(folder))
    return made


def batches(split, preprocessor, drop_remainder):
    """Returns what is seen after each epoch: the same pairs, in the same order."""
    packed = rk.data.pack(split, preprocessor)
    options = {"shuffle": False, "drop_remainder": drop_remainder}
    return rk.data.batches(packed, preprocessor, FLAGS.batch_size, **options)
