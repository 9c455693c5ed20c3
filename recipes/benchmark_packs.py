"""What `benchmark.py --what=packs` measures: a pack larger than memory, read by processes.

Linux only: private memory, mapped files and reads are those that `/proc` tells of.
"""

import concurrent.futures
import multiprocessing
import os
import tempfile
import time

import benchmark_clip
import numpy as np

import rocmr_keras as rk

_CAPTIONS = 5
_BLOCK = 2**10


def table(images, image_size, batch_size, counts):
    """Returns private memory and rates of one epoch, read by as many processes, as a table.

    Args:
        images: Integer, of a made pack that lies in a temporary folder (`TMPDIR`).
        image_size: Integer, side in pixels.
        batch_size: Integer, of all processes together.
        counts: List of integers, processes that read at the same time.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images.npy")
        gigabytes = _write(path, images, image_size)
        lines = [
            f"| {images:,} images of {image_size} px, {gigabytes:.1f} GB | private MiB, after "
            "a twentieth / at most | images of each | none read twice | MB of pages | images/s |\n"
            "|---|---|---|---|---|---|"
        ]
        lines += [_line(path, batch_size, count) for count in counts]
    return "\n".join(lines)


def _write(path, images, image_size):
    draw = np.random.default_rng(0)
    block = draw.integers(0, 256, (_BLOCK, image_size, image_size, 3), "uint8")
    pixels = np.lib.format.open_memmap(path, "w+", "uint8", (images, *block.shape[1:]))
    for start in range(0, images, _BLOCK):
        part = pixels[start : start + _BLOCK]
        part[:] = block[: len(part)]
    pixels.flush()
    return pixels.nbytes / 1e9


def _line(path, batch_size, count):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, mp_context=context) as pool:
        jobs = [pool.submit(read, path, batch_size, index, count) for index in range(count)]
        found = [job.result() for job in jobs]
    early, most, ids, pages, rates = zip(*found)
    drawn = np.concatenate(ids)
    once = len(np.unique(drawn)) == len(drawn)
    return (
        f"| {count} processes | {_joined(early)} / {_joined(most)} "
        f"| {', '.join(str(len(each)) for each in ids)} | {'yes' if once else 'NO'} "
        f"| {_joined(pages)} | {_joined(rates)} |"
    )


def _joined(numbers):
    return ", ".join(f"{number:.0f}" for number in numbers)


def read(path, batch_size, index, count):
    """Reads an epoch of a shard.

    Returns:
        Tuple of private memory in MiB after a twentieth of the epoch and at most, the ids of all
        images, the megabytes of pages of the file that were mapped at the end, and images a
        second.
    """
    pixels = np.load(path, mmap_mode="r")
    ids = np.arange(len(pixels))
    captions = [f"number {number}" for number in range(_CAPTIONS * len(ids))]
    tokens = {
        "token_ids": np.ones((len(captions), 16), "int32"),
        "padding_mask": np.ones((len(captions), 16), bool),
    }
    packed = rk.data.PackedSplit(
        pixels, ids, captions, np.repeat(ids, _CAPTIONS), tokens, "made-up"
    )
    dataset = rk.data.batches(packed, batch_size=batch_size, drop_remainder=True)
    shard = dataset.shard(index, count)
    memory, drawn, start = [], [], time.perf_counter()
    for batch in shard:
        drawn.append(batch["image_ids"])
        memory.append(2**10 * benchmark_clip.status("RssAnon"))
    seconds = time.perf_counter() - start
    drawn, pages = np.concatenate(drawn), benchmark_clip.status("RssFile") * 2**30 / 1e6
    return memory[len(memory) // 20], max(memory), drawn, pages, len(drawn) / seconds
