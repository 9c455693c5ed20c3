"""What `benchmark.py --what=devices` compares: 20 steps on one device, and on several."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
from keras import ops

import rocmr_keras as rk

STEPS, BATCH_SIZE, IMAGE_SIZE, WORDS = 20, 8, 8, 24
#: Terms, loss, and what is attacked with where the terms ask for it.
ROWS = (
    ("standard", "symmetric_softmax", "none", "none"),
    ("standard", "pairwise_sigmoid", "none", "none"),
    ("standard", "hardest_triplet", "none", "none"),
    ("rocmr", "symmetric_softmax", "pgd", "embeddings"),
    ("rocmr", "pairwise_sigmoid", "pgd", "embeddings"),
    ("rocmr", "hardest_triplet", "pgd", "embeddings"),
    ("rocmr", "symmetric_softmax", "pgd l2", "tokens"),
    ("rocmr", "symmetric_softmax", "apgd", "random tokens"),
    ("rocmr", "symmetric_softmax", "square", "edits"),
    ("rocmr", "symmetric_softmax", "pgd", "drawn tokens"),
    ("rocmr", "symmetric_softmax", "pgd", "beams"),
    ("rocmr_image_only", "symmetric_softmax", "pgd", "none"),
    ("rocmr_text_only", "symmetric_softmax", "none", "tokens"),
    ("mat", "symmetric_softmax", "pgd", "embeddings"),
    ("mat", "hardest_triplet", "pgd", "tokens"),
    ("mmcoa", "symmetric_softmax", "pgd", "embeddings"),
    ("mmcoa", "pairwise_sigmoid", "pgd", "tokens"),
    ("villa", "symmetric_softmax", "pgd", "embeddings"),
    ("villa", "pairwise_sigmoid", "pgd", "embeddings"),
    ("tecoa", "symmetric_softmax", "pgd", "none"),
    ("tecoa", "hardest_triplet", "noise", "none"),
    ("fare", "symmetric_softmax", "pgd", "none"),
    ("leaf", "symmetric_softmax", "none", "embeddings"),
    ("leaf", "symmetric_softmax", "none", "edits"),
    ("leaf", "symmetric_softmax", "none", "tokens"),
)
#: Steps are few: XLA shall compile quickly.
QUICKLY = ("--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true")
#: The rounding of float32, by which the weights are moved to see what becomes of roundings.
ROUNDING = 2.0**-23


def table(presets, devices, precision):
    """Returns a table of the largest differences.

    Beside each stands by how much a single device differs from itself if its weights are
    moved by one rounding before training: signs of gradients near zero flip, and Adam scales up
    what is next to nothing.

    Args:
        presets: List of names; rows of others are left out.
        devices: Integer.
        precision: Name of a dtype policy.
    """
    rows = [row for row in ROWS if row[0] in presets]
    with tempfile.TemporaryDirectory() as folder:
        parts = rows, precision, folder
        one, several = (_in_a_process_of_its_own(count, *parts) for count in (1, devices))
    lines = [
        f"| {keras.config.backend()}, {devices} devices, {precision} | loss differs | weights "
        "differ | of one device, moved by a rounding: loss | weights |\n|---|---|---|---|---|"
    ]
    for index, row in enumerate(rows):
        names = [f"{name}_{index}" for name in ("losses", "weights")]
        found = [np.abs(one[name] - several[name]).max() for name in names]
        found += [np.abs(one[name] - one[f"moved_{name}"]).max() for name in names]
        lines.append(f"| {', '.join(row)} | {' | '.join(f'{each:.1e}' for each in found)} |")
    return "\n".join(lines)


def _in_a_process_of_its_own(count, rows, precision, folder):
    path, start = os.path.join(folder, f"{count}.npz"), [sys.executable]
    if count > 1 and keras.config.backend() == "torch":
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    xla = [f"--xla_force_host_platform_device_count={count}", *QUICKLY]
    environment = {**os.environ, "XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *xla])}
    command = [*start, str(pathlib.Path(__file__)), str(count), json.dumps(rows), precision, path]
    subprocess.run(command, env=environment, check=True)
    with np.load(path) as file:
        return dict(file)


def main(count, rows, precision, path):
    """Takes the steps of each row, and writes losses and weights."""
    count, found = int(count), {}
    keras.config.set_dtype_policy(precision)
    with rk.trainers.on_devices(count) if count > 1 else contextlib.nullcontext():
        index, _ = rk.trainers.process()
        for number, row in enumerate(json.loads(rows)):
            if count == 1:
                # Elsewhere it would also forget the devices.
                keras.utils.clear_session()
            trainer, data = build_trainer(*row), build_data("edits" in row)
            start = [ops.convert_to_numpy(variable) for variable in variables_of(trainer)]
            for name in ("", "moved_") if count == 1 else ("",):
                losses, weights = train(trainer, data, start, ROUNDING if name else 0.0)
                found |= {f"{name}losses_{number}": losses, f"{name}weights_{number}": weights}
    if index == 0:
        np.savez(path, **found)


def variables_of(trainer):
    """Returns all that changes: weights, statistics, seeds of attacks, the optimizer's slots."""
    trainer.optimizer.build(trainer.trainable_variables)
    return [*trainer.variables, *trainer.optimizer.variables]


def train(trainer, data, start, moved):
    """Returns the losses of the steps, and all weights after them.

    `start` are the values of `variables_of` to begin with; weights are moved by a share `moved`.
    """
    keras.utils.set_random_seed(0)
    for variable, value in zip(variables_of(trainer), start):
        variable.assign(value)
    signs = np.random.default_rng(0)
    for weight in trainer.trainable_variables:
        value = ops.convert_to_numpy(weight)
        weight.assign(value * (1 + moved * signs.choice([-1, 1], value.shape)))
    index, count = rk.trainers.process()
    losses = []
    trainer.fit(
        part_of(data, index, count),
        batch_size=BATCH_SIZE // count,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
            )
        ],
    )
    weights = [ops.convert_to_numpy(weight).ravel() for weight in trainer.dual_encoder.weights]
    # What Keras reports is the mean over the steps so far.
    losses = np.diff(np.array([0.0, *losses]) * np.arange(STEPS + 1))
    return losses, np.concatenate(weights)


def build_trainer(preset, loss, image_attack, text_attack):
    """Makes towers that drop out and normalise by the batch, and their attacks."""
    keras.utils.set_random_seed(0)
    image_encoder = rk.models.ConvolutionalImageEncoder(8, (8,), (1,), stem_stride=2)
    text_encoder = rk.models.TextEncoder(WORDS, 8, 8, 1, 2, projection_dim=8, dropout=0.1)
    words = ["[PAD]", "[UNK]", "[START]", "[END]", *(f"w{index}" for index in range(WORDS - 4))]
    preprocessor = rk.data.Preprocessor(words, 8, (IMAGE_SIZE, IMAGE_SIZE))
    model = rk.models.DualEncoder(image_encoder, text_encoder, preprocessor)
    terms = rk.trainers.PRESETS[preset]
    if not terms.retrieves():
        idle = [side for side in ("images", "texts") if not terms.refers(side)]
        model.freeze(**dict.fromkeys(idle, "all"), similarity=True)
    attacks = {
        "image_attack": IMAGE_ATTACKS[image_attack](),
        "text_attack": TEXT_ATTACKS[text_attack](terms.measures("adversarial_text_embeddings")),
    }
    trainer = rk.RoCMR(model, terms=terms, loss=loss, **attacks)
    # On TensorFlow XLA would compile for one device only.
    compiles = keras.config.backend() == "jax"
    trainer.compile(keras.optimizers.AdamW(1e-3, global_clipnorm=1.0), jit_compile=compiles)
    return trainer


_OPTIONS = {"num_steps": 2, "keep_best": False, "seed": 0}
IMAGE_ATTACKS = {
    "none": lambda: None,
    "pgd": lambda: rk.attacks.PGD(8 / 255, **_OPTIONS),
    "pgd l2": lambda: rk.attacks.PGD(0.5, norm="l2", **_OPTIONS),
    "apgd": lambda: rk.attacks.APGD(8 / 255, num_steps=3, seed=0),
    "square": lambda: rk.attacks.Square(8 / 255, num_steps=3, seed=0),
    "noise": lambda: rk.attacks.RandomNoise(8 / 255, seed=0),
}
#: Of whether they climb a distance, which has no gradient at the clean text.
TEXT_ATTACKS = {
    "none": lambda anchored: None,
    "embeddings": lambda anchored: rk.attacks.EmbeddingPGD(0.3, **_OPTIONS),
    "tokens": lambda anchored: rk.attacks.TokenSubstitution(
        1, num_candidates=4, seed=0, random_start=anchored
    ),
    "drawn tokens": lambda anchored: rk.attacks.TokenSubstitution(
        1, num_candidates=2, num_drawn=8, seed=0, random_start=anchored
    ),
    "beams": lambda anchored: rk.attacks.TokenSubstitution(
        2, num_candidates=4, beam_size=2, seed=0, random_start=anchored
    ),
    "random tokens": lambda anchored: rk.attacks.RandomSubstitution(1, seed=0),
    "edits": lambda anchored: rk.attacks.CharacterChoice(seed=0),
}


def build_data(with_edits):
    """Makes the pairs of all steps, of which two in a batch are of one image."""
    draw, size = np.random.default_rng(0), STEPS * BATCH_SIZE
    token_ids = draw.integers(4, WORDS, (size, 8), dtype="int32")
    token_ids[:, 0] = 2
    token_ids[np.arange(8) > draw.integers(3, 8, (size, 1))] = 0
    data = {
        "images": draw.random((size, IMAGE_SIZE, IMAGE_SIZE, 3), "float32"),
        "token_ids": token_ids,
        "padding_mask": token_ids != 0,
        "image_ids": np.arange(size, dtype="int32") // 2 * 2,
    }
    if with_edits:
        edits = draw.integers(4, WORDS, (size, 3, 2, 8), dtype="int32")
        edits = np.where(token_ids[:, None, None] > 3, edits, token_ids[:, None, None])
        data |= {"candidate_token_ids": edits, "candidate_padding_mask": edits != 0}
    return data


def part_of(data, index, count):
    """Returns the rows of one process: its part of every batch."""
    rows = np.arange(STEPS * BATCH_SIZE).reshape(STEPS, count, -1)[:, index].ravel()
    return {name: array[rows] for name, array in data.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
