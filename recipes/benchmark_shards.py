"""What `benchmark.py --what=shards` measures: one gallery, searched by several processes."""

import multiprocessing
import os
import tempfile
import time

import numpy as np

import rocmr_keras as rk


def table(size, batch_size, counts, repeats, dim=128):
    """Returns the rates of a gallery of random vectors in as many shards, as a table.

    Hits are compared with those of the whole gallery in one process, bit by bit.

    Args:
        size: Integer, items of all shards together.
        batch_size: Integer, queries at a time.
        counts: List of integers, processes, each with a shard.
        repeats: Integer, timed searches.
        dim: Integer. Defaults to `128`.
    """
    draw = np.random.default_rng(0)
    vectors = _unit(draw.standard_normal((size, dim), "float32"))
    queries = _unit(draw.standard_normal((batch_size, dim), "float32"))
    expected = rk.gallery.Gallery(vectors).search(queries, 10)
    lines = [
        f"| {size:,} items of {dim}, {batch_size} queries, k = 10 | queries/s | CPU ms a query, "
        "of all | bit-equal |\n|---|---|---|---|"
    ]
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            seconds, cpu, merged = _search(folder, vectors, queries, count, repeats)
            names = ("ids", "scores", "names")
            same = all(np.array_equal(merged[name], expected[name]) for name in names)
            lines.append(
                f"| {count} processes | {batch_size / seconds:.1f} "
                f"| {1000 * cpu / batch_size:.2f} | {'yes' if same else 'NO'} |"
            )
    return "\n".join(lines)


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _search(folder, vectors, queries, count, repeats):
    """Returns seconds and CPU seconds of a search, medians, and the merged hits."""
    ends = np.linspace(0, len(vectors), count + 1).astype(int)
    context, connections = multiprocessing.get_context("spawn"), []
    for place, (first, last) in enumerate(zip(ends, ends[1:])):
        path = os.path.join(folder, f"{place} of {count}")
        ids = np.arange(first, last)
        rk.gallery.Gallery(vectors[first:last], ids).save(path)
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(path, there), daemon=True)
        process.start()
        connections.append((here, process))
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        for connection, _ in connections:
            connection.send(queries)
        answers = [connection.recv() for connection, _ in connections]
        merged = rk.gallery.merge_top_k([hits for hits, _ in answers], 10)
        times.append((time.perf_counter() - start, sum(cpu for _, cpu in answers)))
    for connection, process in connections:
        connection.send(None)
        process.join()
    # The first one waited for the processes to start.
    return *np.median(times[1:], axis=0), merged


def serve(path, connection):
    """Answers queries by the hits of a shard and the CPU seconds they took, until it gets none."""
    shard = rk.gallery.Gallery.load(path)
    while (queries := connection.recv()) is not None:
        start = time.process_time()
        hits = shard.search(queries, 10)
        connection.send((hits, time.process_time() - start))
