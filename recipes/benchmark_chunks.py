"""What `benchmark.py --what=chunks` measures: steps of whole batches, and of chunks of them."""

import concurrent.futures
import gc
import multiprocessing
import time

import benchmark_clip
import keras
import numpy as np
from keras import ops

import rocmr_keras as rk

_MIB_OF_GIB = 1024
_STEPS = 2
# What a step may take; a whole batch that would need more is left out.
_MOST_MIB = 5000


def table(model, batch, batch_sizes, chunk_size, num_steps):
    """Returns a table of the costs of a step, each measured in a process of its own.

    Args:
        model: A `DualEncoder`; its image tower is built anew with group normalisation.
        batch: Batch dict, which is repeated up to the size that is measured.
        batch_sizes: List of integers, ascending.
        chunk_size: Integer.
        num_steps: Integer, PGD steps on either modality.
    """
    config = keras.saving.serialize_keras_object(model)
    config["config"]["image_encoder"]["config"]["normalization"] = "group"
    lines = [
        f"| {keras.config.backend()} | memory of a step, MiB | | of the process, MiB | | "
        "CPU time, s | | of the first step, s | | largest difference |\n"
        f"| pairs (their images, MiB) {f'| whole | by {chunk_size} ' * 4}| of a weight |\n"
        f"{'|---' * 10}|"
    ]
    of_a_pair = 0.0
    for size in batch_sizes:
        found = _apart(config, batch, size, chunk_size, num_steps)
        whole = None
        if of_a_pair * size < _MOST_MIB:
            whole = _apart(config, batch, size, None, num_steps)
            of_a_pair = whole[0] / size
        lines.append(_line(size, batch["images"][0].size, whole, found))
    return "\n".join(lines)


def _line(size, bytes_of_image, whole, found):
    cells = [f"{size} ({size * bytes_of_image / 2**20:.0f})"]
    for index, digits in enumerate((0, 0, 1, 1)):
        cells += ["-" if each is None else f"{each[index]:.{digits}f}" for each in (whole, found)]
    cells.append("-")
    if whole is not None:
        gaps = [np.max(np.abs(one - other)) for one, other in zip(whole[-1], found[-1])]
        cells[-1] = f"{max(gaps):.1e}"
    return f"| {' | '.join(cells)} |"


def _apart(*arguments):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


def measure(model_config, batch, batch_size, chunk_size, num_steps):
    """Takes training steps in this process.

    Returns:
        Tuple of the most memory of a step beyond what was there before, and of the process, in
        MiB, the CPU seconds of a step and of the first one, and the weights afterwards.
    """
    keras.utils.set_random_seed(0)
    model = keras.saving.deserialize_keras_object(model_config)
    options = {"num_steps": num_steps, "keep_best": False, "seed": 0}
    attacks = rk.attacks.PGD(8 / 255, **options), rk.attacks.EmbeddingPGD(0.5, **options)
    trainer = rk.RoCMR(model, *attacks, chunk_size=chunk_size)
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(trainer.trainable_variables)
    trainer.compile(optimizer)
    batch = keras.tree.map_structure(ops.convert_to_tensor, _grow(batch, batch_size))
    gc.collect()
    at_rest = benchmark_clip.status("VmRSS")
    benchmark_clip.reset_peak()
    first = _seconds(trainer, batch)  # It compiles, too.
    seconds = [_seconds(trainer, batch) for _ in range(_STEPS - 1)]
    most = benchmark_clip.status("VmHWM")
    memory = (most - at_rest) * _MIB_OF_GIB, most * _MIB_OF_GIB
    weights = [ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    return *memory, float(np.median(seconds)), first, weights


def _grow(batch, size):
    """Returns pairs that are all different: images of other noise, as uint8."""
    draw = np.random.default_rng(0)
    grown = {name: np.resize(value, (size, *value.shape[1:])) for name, value in batch.items()}
    grown["images"] = draw.integers(0, 256, grown["images"].shape, "uint8")
    grown["image_ids"] = np.arange(size, dtype="int32")
    grown["token_ids"] = draw.permuted(grown["token_ids"], axis=1)
    return grown


def _seconds(trainer, batch):
    start = time.process_time()
    trainer.train_on_batch(batch)
    return time.process_time() - start
