import keras
import numpy as np
import pytest

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.models import DualEncoder
from rocmr_keras.models import TextEncoder
from rocmr_keras.trainers import RoCMR


@pytest.fixture(scope="session")
def make_trainer(make_attacks):
    def make_trainer(seed=0, width=8, dropout=0.2, **options):
        keras.utils.set_random_seed(seed)
        image_encoder = keras.Sequential(
            [
                keras.layers.Input((4, 4, 3)),
                keras.layers.Flatten(),
                keras.layers.Dropout(dropout, seed=seed),
                keras.layers.Dense(width),
            ]
        )
        text_encoder = TextEncoder(20, 6, 8, 0, projection_dim=width)
        options = {**make_attacks(seed), **options}
        trainer = RoCMR(DualEncoder(image_encoder, text_encoder), **options)
        trainer.compile(keras.optimizers.AdamW(0.01))
        return trainer

    return make_trainer


@pytest.fixture(scope="session")
def make_data():
    def make_data(size=8):
        random = np.random.RandomState(0)
        token_ids = random.randint(4, 20, size=(size, 6)).astype("int32")
        return {
            "images": random.uniform(size=(size, 4, 4, 3)).astype("float32"),
            "token_ids": token_ids,
            "padding_mask": token_ids != 0,
        }

    return make_data


@pytest.fixture(scope="session")
def make_attacks():
    def make_attacks(seed=0):
        options = {"num_steps": 1, "keep_best": False}
        return {
            "image_attack": PGD(0.1, seed=seed + 1, **options),
            "text_attack": EmbeddingPGD(0.3, seed=seed + 2, **options),
        }

    return make_attacks
