"""What `benchmark.py --what=devices` compares: 20 steps on one device, and on two."""

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

STEPS, BATCH_SIZE, IMAGE_SIZE, WORDS = 20, 8, 16, 40
#: Terms, loss and attack on texts; images are attacked with PGD where the terms ask for it.
ROWS = (
    ("standard", "symmetric_softmax", "none"),
    ("rocmr", "symmetric_softmax", "embeddings"),
    ("rocmr", "symmetric_softmax", "tokens"),
    ("rocmr", "pairwise_sigmoid", "embeddings"),
    ("rocmr", "hardest_triplet", "embeddings"),
    ("mat", "symmetric_softmax", "embeddings"),
    ("mmcoa", "symmetric_softmax", "embeddings"),
    ("villa", "symmetric_softmax", "embeddings"),
    ("tecoa", "symmetric_softmax", "none"),
    ("fare", "symmetric_softmax", "none"),
    ("leaf", "symmetric_softmax", "embeddings"),
    ("leaf", "symmetric_softmax", "edits"),
)


def table(presets):
    """Returns a table of the largest differences, of rows whose preset is asked for."""
    rows = [row for row in ROWS if row[0] in presets]
    with tempfile.TemporaryDirectory() as folder:
        one, two = (_in_a_process_of_its_own(count, rows, folder) for count in (1, 2))
    lines = ["| backend | preset | loss | text attack | loss differs | weights differ |"]
    lines.append("|---|---|---|---|---|---|")
    for index, row in enumerate(rows):
        differences = [
            np.abs(one[f"{name}_{index}"] - two[f"{name}_{index}"]).max()
            for name in ("losses", "weights")
        ]
        cells = [keras.config.backend(), *row, *(f"{each:.1e}" for each in differences)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_a_process_of_its_own(count, rows, folder):
    path, start = os.path.join(folder, f"{count}.npz"), [sys.executable]
    if count > 1 and keras.config.backend() == "torch":
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    divided = f"--xla_force_host_platform_device_count={count}"
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {divided}"}
    command = [*start, str(pathlib.Path(__file__)), str(count), json.dumps(rows), path]
    subprocess.run(command, env=environment, check=True)
    with np.load(path) as file:
        return dict(file)


def main(count, rows, path):
    """Takes the steps of each row, and writes losses and weights."""
    found = {}
    with rk.trainers.on_devices(int(count)) if int(count) > 1 else contextlib.nullcontext():
        index, _ = rk.trainers.process()
        for number, row in enumerate(json.loads(rows)):
            losses, weights = train(*row)
            found |= {f"losses_{number}": losses, f"weights_{number}": weights}
    if index == 0:
        np.savez(path, **found)


def train(preset, loss, text_attack):
    """Returns the losses of the steps, and all weights after them."""
    keras.utils.set_random_seed(0)
    trainer = build_trainer(preset, loss, text_attack)
    index, count = rk.trainers.process()
    losses = []
    trainer.fit(
        part_of(build_data(text_attack), index, count),
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


def build_trainer(preset, loss, text_attack):
    """Makes towers that drop out and normalise by the batch, and their attacks."""
    image_encoder = rk.models.ConvolutionalImageEncoder(16, (16,), (1,), stem_stride=2)
    text_encoder = rk.models.TextEncoder(WORDS, 8, 16, 1, 2, projection_dim=16, dropout=0.1)
    words = ["[PAD]", "[UNK]", "[START]", "[END]", *(f"w{index}" for index in range(WORDS - 4))]
    preprocessor = rk.data.Preprocessor(words, 8, (IMAGE_SIZE, IMAGE_SIZE))
    model = rk.models.DualEncoder(image_encoder, text_encoder, preprocessor)
    terms = rk.trainers.PRESETS[preset]
    if not terms.retrieves():
        idle = [side for side in ("images", "texts") if not terms.refers(side)]
        model.freeze(**dict.fromkeys(idle, "all"), similarity=True)
    options, attacks = {"num_steps": 2, "keep_best": False, "seed": 0}, {}
    if terms.attacks("images"):
        attacks["image_attack"] = rk.attacks.PGD(8 / 255, **options)
    if terms.attacks("texts"):
        attacks["text_attack"] = {
            "embeddings": rk.attacks.EmbeddingPGD(0.3, **options),
            "tokens": rk.attacks.TokenSubstitution(1, num_candidates=4, seed=0),
            "edits": rk.attacks.CharacterChoice(seed=0),
        }[text_attack]
    trainer = rk.RoCMR(model, terms=terms, loss=loss, **attacks)
    trainer.compile(keras.optimizers.AdamW(1e-3, global_clipnorm=1.0))
    return trainer


def build_data(text_attack):
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
    if text_attack == "edits":
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
