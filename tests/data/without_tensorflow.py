"""Trains on a pack in a process in which TensorFlow cannot be imported; run by a test."""

import importlib.abc
import importlib.machinery
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


class SpecialTokens:
    special_token_ids = (0, 1, 2, 3)


def main(folder):
    packed = rk.data.open_pack(folder)
    size, length = packed.images.shape[1:], packed.tokens["token_ids"].shape[1]
    image_encoder = keras.Sequential(
        [keras.layers.Input(size), keras.layers.Flatten(), keras.layers.Dense(8)]
    )
    text_encoder = rk.models.TextEncoder(20, length, 8, 0, projection_dim=8)
    trainer = rk.RoCMR(
        rk.models.DualEncoder(image_encoder, text_encoder, preprocessor=SpecialTokens()),
        rk.attacks.PGD(0.1, num_steps=1, keep_best=False, seed=0),
        rk.attacks.TokenSubstitution(1, num_candidates=2, seed=0),
    )
    trainer.compile("adam")
    dataset = rk.data.batches(packed, batch_size=4, augment=rk.data.RandomShift(0.2))
    part = rk.data.batches(packed.subset(4), batch_size=4)
    history = trainer.fit(dataset, validation_data=part, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"])) and len(history["val_loss"]) == 2
    loaded = sorted(BLOCKED & {name.partition(".")[0] for name in sys.modules})
    print(f"trained; loaded {loaded}, asked for {sorted(Blocker.asked)}")


if __name__ == "__main__":
    main(sys.argv[1])
