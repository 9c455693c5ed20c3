"""Trains and evaluates on a pack in a process that cannot import TensorFlow; run by a test."""

import importlib.abc
import importlib.machinery
import json
import sys

BLOCKED = {"tensorflow", "tensorflow_text", "keras_hub"}


class Blocker(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Refuses what such a machine does not have, and notes that it was asked for.

    It may be found, as PyTorch looks for it: imported it cannot be.
    """

    asked = set()

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        self.asked.add(spec.name)
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    def exec_module(self, module):
        raise NotImplementedError


sys.meta_path.insert(0, Blocker())

import keras  # noqa: E402
import numpy as np  # noqa: E402

import rocmr_keras as rk  # noqa: E402


def main(folder, preprocessor):
    packed = rk.data.open_pack(folder)
    preprocessor = rk.data.Preprocessor.from_config(json.loads(preprocessor))
    size, length = packed.images.shape[1:], packed.tokens["token_ids"].shape[1]
    image_encoder = keras.Sequential(
        [keras.layers.Input(size), keras.layers.Flatten(), keras.layers.Dense(8)]
    )
    text_encoder = rk.models.TextEncoder(
        preprocessor.vocabulary_size, length, 8, 0, projection_dim=8
    )
    model = rk.models.DualEncoder(image_encoder, text_encoder, preprocessor)
    pgd = rk.attacks.PGD(0.1, num_steps=1, seed=0)
    one_token = rk.attacks.TokenSubstitution(1, num_candidates=2, seed=0)
    trainer = rk.RoCMR(model, pgd, one_token)
    trainer.compile("adam")
    dataset = rk.data.batches(packed, batch_size=4, augment=rk.data.RandomShift(0.2))
    part = rk.data.batches(packed.subset(4), batch_size=4)
    history = trainer.fit(dataset, validation_data=part, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and len(history["val_loss"]) == 2
    model.save(f"{folder}.keras")
    model = keras.models.load_model(f"{folder}.keras")
    attacks = {"pgd": pgd, "one token": one_token}
    report = rk.evaluation.evaluate(model, packed, attacks, batch_size=4, verbose=0)
    assert 0 <= report["attacks"]["pgd"]["image_to_text"]["recall_at_1"] <= 1
    loaded = sorted(BLOCKED & {name.partition(".")[0] for name in sys.modules})
    print(f"trained and attacked; loaded {loaded}, asked for {sorted(Blocker.asked)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
