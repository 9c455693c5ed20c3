"""Wrote the files of this folder at commit 0a4e2ac on TensorFlow. Not to be run again."""

import pathlib

import keras
import numpy as np

from rocmr_keras import RoCMR
from rocmr_keras import attacks
from rocmr_keras import data
from rocmr_keras import export
from rocmr_keras import models

HERE = pathlib.Path(__file__).parent
WORDS = ["red", "green", "blue", "square", "circle", "a", "small", "##ish"]
CAPTIONS = ["a red square", "a small blue circle", "greenish circle", "A blue-red SQUARE!"]


def make_model(**options):
    preprocessor = data.Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]", *WORDS], 8, (16, 16))
    images = models.ConvolutionalImageEncoder(8, (8,), (1,))
    # No blocks: each layer is kilobytes of HDF5, however few its weights.
    texts = models.TextEncoder(12, 8, 8, num_layers=0, projection_dim=8)
    return models.DualEncoder(images, texts, preprocessor, **options)


def make_trainer():
    """No random draws: the images start where they are, and every text is attacked."""
    image_attack = attacks.PGD(4 / 255, 2, random_start=False, keep_best=False, seed=1)
    text_attack = attacks.TokenSubstitution(1, 4, seed=2, candidates=attacks.WholeWords())
    objective = attacks.objectives.contrastive
    model = make_model(projection_dim=4)
    trainer = RoCMR(model, image_attack, text_attack, attack_objective=objective)
    # The large epsilon: Adam's first steps are else the signs of gradients near zero.
    trainer.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.01, epsilon=1e-2))
    return trainer


def main():
    keras.utils.set_random_seed(0)
    model, trainer = make_model(), make_trainer()
    pixels = np.random.RandomState(0).randint(256, size=(4, 16, 16, 3), dtype="uint8")
    inputs = {"images": pixels / np.float32(255), **model.preprocessor.tokenize(CAPTIONS)}
    for _ in range(2):
        trainer.train_on_batch(inputs)
    known = {"pixels": pixels, "captions": CAPTIONS, "token_ids": inputs["token_ids"]}
    model.save(HERE / "dual_encoder_0.keras")
    trainer.save(HERE / "trainer_0.keras")
    for name, encoder in {"dual_encoder": model, "trainer": trainer.dual_encoder}.items():
        known |= {f"{name}_{key}": value for key, value in encoder(inputs).items()}
    export.Gallery(known["trainer_text_embeddings"][:3], [7, 8, 7], "abc").save(HERE / "gallery_0")
    trainer.reset_metrics()
    known["loss"] = trainer.train_on_batch(inputs, return_dict=True)["loss"]
    np.savez_compressed(HERE / "expected.npz", **known)


if __name__ == "__main__":
    main()
