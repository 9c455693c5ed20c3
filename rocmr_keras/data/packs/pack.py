import functools
import os
import pathlib
import warnings
from concurrent import futures

import keras
import numpy as np

from rocmr_keras.data.bad_items import check_share
from rocmr_keras.data.bad_items import listed
from rocmr_keras.data.images import UnreadableImage
from rocmr_keras.data.packs.decoding import decode_chunk
from rocmr_keras.data.packs.fingerprints import fingerprint
from rocmr_keras.data.packs.fingerprints import what_differs
from rocmr_keras.data.packs.kept_packs import KeptPacks
from rocmr_keras.data.packs.packed_split import TOKENS
from rocmr_keras.data.packs.packed_split import PackedSplit
from rocmr_keras.data.packs.packed_split import open_pack
from rocmr_keras.data.packs.packed_split import write_tables
from rocmr_keras.data.packs.unfinished_pack import UnfinishedPack
from rocmr_keras.data.packs.unfinished_pack import alone

CHUNK = 128
_MEMORY_LIMIT = 256 * 2**20
_KEPT = KeptPacks(2 * _MEMORY_LIMIT)
_BAD = "bad images"


def pack(split, preprocessor, folder=None, verbose=1, max_bad_fraction=0.0):
    """Decodes the images of a split and tokenises its captions, once for all uses.

    A pack is in memory, or in a folder that is reused by later runs and can be copied to
    another machine. The folder appears when all is done; a run that was killed goes on
    where it was.

    Args:
        split: `rocmr_keras.data.Split`.
        preprocessor: `rocmr_keras.data.Preprocessor`.
        folder: Path, or `None`: less than 256 MiB of pixels stay in memory, where the next
            call for the same split finds them; more goes to `packs` in the folder that the
            environment variable `ROCMR_KERAS_CACHE` names, by default
            `~/.cache/rocmr_keras`. Defaults to `None`.
        verbose: `1` for a progress bar, where there is more than one chunk; `0` for none.
            Defaults to `1`.
        max_bad_fraction: Float in `[0, 1]`, the share of images that may be unreadable:
            they are left out, with the captions of no other image, and listed in
            `skipped`. Defaults to `0.0`.

    Returns:
        A `rocmr_keras.data.PackedSplit`. One in memory is shared with other calls and
        read-only; it goes when the split goes, or for others where all of them exceed 512 MiB.

    Raises:
        ValueError: If too many images cannot be read, or the folder holds other things: the
            pack of another preprocessor or of other images.

    Example:

    ```python
    packed = rocmr_keras.data.pack(splits["train"], preprocessor, "packs/train")
    dataset = rocmr_keras.data.batches(packed, preprocessor, batch_size=128)
    ```
    """
    packed = _find_or_make(split, preprocessor, folder, verbose, max_bad_fraction)
    # Others may share the pack.
    return packed.merge_duplicates() if getattr(split, "merges_duplicates", False) else packed


def _find_or_make(split, preprocessor, folder, verbose, max_bad_fraction):
    if isinstance(split, PackedSplit):
        split.check_preprocessor(preprocessor)
        if folder is None:
            return split
    # Pixels that are shared need no hash: if they change in place, the pack's do too.
    is_shared = folder is None and preprocessor.is_ready(split.images)
    name = fingerprint(split, preprocessor, of_pixels=not is_shared)
    folder = _choose_folder(split, preprocessor, name) if folder is None else folder
    if folder is None:
        kept = _KEPT.find(split, name)
        if kept is not None and (not is_shared or kept.images is split.images):
            return kept
        packed = _make(split, preprocessor, name, None, verbose, max_bad_fraction)
        # Who packs again is told again of what was left out.
        return packed if _BAD in packed.skipped else _KEPT.add(split, packed)
    folder = pathlib.Path(os.path.abspath(folder))
    with alone(folder):
        if os.path.isdir(folder) and any(folder.iterdir()):
            packed = _reuse(folder, name)
            _check(packed.skipped.get(_BAD, ()), len(split), max_bad_fraction)
            return packed
        return _make(split, preprocessor, name, folder, verbose, max_bad_fraction)


def _choose_folder(split, preprocessor, name):
    height, width = preprocessor.image_size
    if preprocessor.is_ready(split.images) or 3 * len(split) * height * width < _MEMORY_LIMIT:
        return None
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = os.environ.get("ROCMR_KERAS_CACHE") or os.path.join(user, "rocmr_keras")
    return os.path.join(cache, "packs", name)


def _reuse(folder, name):
    try:
        packed = open_pack(folder)
        differs = what_differs(packed.fingerprint, name)
    except ValueError:
        differs = "other things, or a pack that is not whole"
    if differs:
        raise ValueError(
            "`folder` must be new, or hold the pack of this split and preprocessor. Received: "
            f"folder={os.fspath(folder)!r}, which holds {differs}. Remove it, or name another."
        )
    return packed


def _make(split, preprocessor, name, folder, verbose, max_bad_fraction):
    # Before decoding, which takes longer: the tokenizer may refuse a caption.
    tokens = _tokenize(split.captions, preprocessor)
    if folder is None and preprocessor.is_ready(split.images):
        return _assemble(split, tokens, split.images, name, {})
    # Notes of other chunks mean other images.
    job = f"{name}, {CHUNK} at a time"
    unfinished = UnfinishedPack(folder, job, (len(split), *preprocessor.image_size, 3))
    bad = _decode(split, preprocessor, unfinished, verbose, max_bad_fraction)
    if bad:
        warnings.warn(f"Left out {_described(_lines(bad), len(split))}.", stacklevel=3)
    packed = _assemble(split, tokens, unfinished.leave_out(sorted(bad)), name, bad)
    if folder is None:
        return packed
    unfinished.finish(functools.partial(write_tables, packed))
    return open_pack(folder)


def _assemble(split, tokens, images, name, bad):
    image_ids = np.delete(split.image_ids, sorted(bad))
    kept = np.flatnonzero(np.isin(split.caption_image_ids, image_ids))
    return PackedSplit(
        images,
        image_ids,
        [split.captions[index] for index in kept],
        split.caption_image_ids[kept],
        {key: rows[kept] for key, rows in tokens.items()},
        name,
        split.name,
        {**split.skipped, **({_BAD: _lines(bad)} if bad else {})},
    )


def _tokenize(captions, preprocessor):
    parts = [preprocessor.tokenize(captions[i : i + 4096]) for i in range(0, len(captions), 4096)]
    parts = parts or [preprocessor.tokenize([])]
    return {name: np.concatenate([part[name] for part in parts]) for name in TOKENS}


def _decode(split, preprocessor, unfinished, verbose, max_bad_fraction):
    """Decodes what is not decoded yet, in two threads; returns what was bad, by position."""
    starts, bad = range(0, len(split), CHUNK), {}
    where = "memory" if unfinished.folder is None else str(unfinished.folder)
    bar = keras.utils.Progbar(
        len(starts),
        verbose=verbose if len(starts) > 1 else 0,
        unit_name=f"{CHUNK} images to {where}",
    )

    def work(start):
        if unfinished.holds(start):
            return {}
        pixels, faults = decode_chunk(preprocessor, split.images[start : start + CHUNK])
        unfinished.write(start, pixels, is_whole=not faults)
        return {start + index: fault for index, fault in faults.items()}

    with futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(work, start) for start in starts]
        try:
            for job in jobs:
                bad |= job.result()
                if bad and not max_bad_fraction:
                    raise UnreadableImage(*bad[min(bad)])
                _check(_lines(bad), len(split), max_bad_fraction)
                bar.add(1)
        finally:
            for job in jobs:
                job.cancel()
    return bad


def _check(lines, count, max_bad_fraction):
    check_share(len(lines), count, max_bad_fraction, _described(lines, count))


def _lines(bad):
    return [": ".join(bad[position]) for position in sorted(bad)]


def _described(lines, count):
    return f"{len(lines)} bad of {count} images: {listed(lines, most=5)}"
