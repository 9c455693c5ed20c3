"""What `benchmark.py --what=clip` measures: a training step of a CLIP of common size."""

import concurrent.futures
import multiprocessing
import time

import keras
import numpy as np

import rocmr_keras as rk

# ViT-B/32 as it was published; the weights are random.
_TOKENS, _WORDS, _PIXELS = 77, 49408, 224
_VISION = {"num_layers": 12, "hidden_dim": 768, "num_heads": 12, "intermediate_dim": 3072}
_TEXT = {"num_layers": 12, "hidden_dim": 512, "num_heads": 8, "intermediate_dim": 2048}


def table(batch_size, num_steps, repeats):
    """Returns a table of what a step costs with and without recomputing.

    Each row comes from a process of its own: memory that another took is not given back.
    """
    lines = [
        f"| clip, {keras.config.backend()}, {batch_size} pairs | CPU time of a step | "
        "memory of a step | whole process |",
        "|---|---|---|---|",
    ]
    context = multiprocessing.get_context("spawn")
    for name, recomputes in (("all kept", False), ("blocks recomputed", True)):
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            cost = pool.submit(measure, recomputes, batch_size, num_steps, repeats).result()
        lines.append("| {} | {:.1f} s | {:.2f} GiB | {:.2f} GiB |".format(name, *cost))
    return "\n".join(lines)


def measure(recomputes, batch_size, num_steps, repeats):
    """Takes training steps in this process.

    Returns:
        Tuple of the median CPU time of a step in seconds; the most memory of a step beyond
        weights and optimizer, in GiB; and the most that the process ever took.
    """
    model = build_model()
    if recomputes:
        for tower in (model.image_encoder, model.text_encoder):
            rk.fine_tuning.rematerialize(tower)
    trainer = _trainer(model, num_steps)
    batch = _batch(batch_size)
    at_rest = status("VmRSS")
    trainer.train_on_batch(batch)  # It compiles, too.
    first = reset_peak()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        trainer.train_on_batch(batch)
        times.append(time.process_time() - start)
    peak = status("VmHWM")
    return float(np.median(times)), peak - at_rest, max(first, peak)


def build_model(vision=_VISION, text=_TEXT):
    """Returns a `DualEncoder` of a KerasHub CLIP of random weights."""
    import keras_hub

    options = {"intermediate_activation": "quick_gelu"}
    vision_encoder = keras_hub.models.CLIPVisionEncoder(
        patch_size=32, image_shape=(_PIXELS, _PIXELS, 3), **vision, **options
    )
    text_encoder = keras_hub.models.CLIPTextEncoder(
        vocabulary_size=_WORDS,
        embedding_dim=text["hidden_dim"],
        max_sequence_length=_TOKENS,
        **text,
        **options,
    )
    backbone = keras_hub.models.CLIPBackbone(vision_encoder, text_encoder, projection_dim=512)
    return rk.models.DualEncoder.from_backbone(backbone)


def _trainer(model, num_steps):
    options = {"num_steps": num_steps, "keep_best": False, "seed": 0}
    trainer = rk.RoCMR(
        model, rk.attacks.PGD(4 / 255, **options), rk.attacks.EmbeddingPGD(0.3, **options)
    )
    optimizer = keras.optimizers.AdamW(1e-5)
    optimizer.build(trainer.trainable_variables)
    trainer.compile(optimizer)
    return trainer


def _batch(size):
    draw = np.random.default_rng(0)
    return {
        "images": draw.random((size, _PIXELS, _PIXELS, 3), "float32"),
        "token_ids": draw.integers(1, _WORDS, (size, _TOKENS), dtype="int32"),
        "padding_mask": np.ones((size, _TOKENS), bool),
        "image_ids": np.arange(size, dtype="int32"),
    }


def status(name):
    """Reads a figure of this process in GiB; Linux only."""
    with open("/proc/self/status", encoding="utf-8") as file:
        (line,) = (line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 2**20


def reset_peak():
    """Returns the most memory so far in GiB, and begins to count anew."""
    peak = status("VmHWM")
    with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
        file.write("5")
    return peak
