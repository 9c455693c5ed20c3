r"""Measures what each preset's training step costs, relative to standard training.

    KERAS_BACKEND=jax python recipes/benchmark.py

prints a Markdown row per preset: the median over repeats of the ratio to the standard
step of the same repeat. The presets take turns, so that a busy machine slows all of
them alike. Random pixels and tokens: a step's cost does not depend on them.
"""

import time

import keras
import numpy as np
from absl import app
from absl import flags

import rocmr_keras as rk

FLAGS = flags.FLAGS

flags.DEFINE_enum("size", "tiny", sorted(rk.models.SIZES), "Size of the towers.")
flags.DEFINE_enum("image_tower", "cnn", ["cnn", "vit"], "Kind of image encoder.")
flags.DEFINE_integer("image_size", 64, "Side of the images in pixels.")
flags.DEFINE_integer("batch_size", 128, "Image-caption pairs in a batch.")
flags.DEFINE_integer("num_steps", 2, "PGD steps on either modality.")
flags.DEFINE_enum("text_attack", "embeddings", ["embeddings", "tokens"], "On texts.")
flags.DEFINE_integer("repeats", 15, "Timed rounds over all presets.")
flags.DEFINE_list("presets", sorted(rk.trainers.PRESETS), "Presets to time.")


def build_batch(vocabulary_size, length):
    draw, size = np.random.default_rng(0), FLAGS.batch_size
    return {
        "images": draw.random((size, FLAGS.image_size, FLAGS.image_size, 3), "float32"),
        "token_ids": draw.integers(4, vocabulary_size, (size, length), dtype="int32"),
        "padding_mask": np.ones((size, length), bool),
        "image_ids": np.arange(size, dtype="int32"),
    }


def build_trainer(preset, preprocessor):
    model = rk.models.build(FLAGS.size, preprocessor, FLAGS.image_tower)
    terms = rk.trainers.PRESETS[preset]
    if not terms.retrieves():
        idle = [name for name in ("images", "texts") if not terms.refers(name)]
        model.freeze(**dict.fromkeys(idle, "all"), similarity=True)
    attacks = {}
    if terms.uses("adversarial_images"):
        attacks["image_attack"] = rk.attacks.PGD(
            8 / 255, FLAGS.num_steps, keep_best=False
        )
    if terms.uses("adversarial_texts"):
        embeddings = rk.attacks.EmbeddingPGD(0.5, FLAGS.num_steps, keep_best=False)
        tokens = rk.attacks.TokenSubstitution(1, num_candidates=8)
        attacks["text_attack"] = {"embeddings": embeddings, "tokens": tokens}[
            FLAGS.text_attack
        ]
    trainer = rk.RoCMR(model, terms=terms, **attacks)
    trainer.compile(keras.optimizers.AdamW(1e-3))
    return trainer


def time_step(trainer, batch):
    start = time.perf_counter()
    trainer.train_on_batch(batch)
    return time.perf_counter() - start


def main(_):
    captions = [f"word{index} and word{index + 1}" for index in range(1000)]
    preprocessor = rk.data.Preprocessor.from_captions(
        captions,
        vocabulary_size=2000,
        sequence_length=16,
        image_size=(FLAGS.image_size, FLAGS.image_size),
    )
    batch = build_batch(preprocessor.vocabulary_size, preprocessor.sequence_length)
    names = ["standard", *(name for name in FLAGS.presets if name != "standard")]
    trainers = {name: build_trainer(name, preprocessor) for name in names}
    for trainer in trainers.values():
        time_step(trainer, batch)
    times = {name: [] for name in names}
    bar = keras.utils.Progbar(FLAGS.repeats, unit_name="round")
    for _ in range(FLAGS.repeats):
        for name, trainer in trainers.items():
            times[name].append(time_step(trainer, batch))
        bar.add(1)
    print(f"| preset | step cost, {keras.config.backend()} |\n|---|---|")
    for name in names:
        ratios = np.array(times[name]) / np.array(times["standard"])
        print(f"| {name} | {np.median(ratios):.2f} |")


if __name__ == "__main__":
    app.run(main)
