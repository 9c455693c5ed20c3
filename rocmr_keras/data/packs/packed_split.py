import json
import os
import pathlib

import numpy as np

from rocmr_keras.data.packs import fingerprints
from rocmr_keras.data.split import Split

TOKENS = ("token_ids", "padding_mask")
_VERSION = 1


class PackedSplit(Split):
    """A split whose images are decoded and whose captions are tokenised.

    Made by `rocmr_keras.data.pack` or read by `rocmr_keras.data.open_pack`. Whatever takes a
    `Split` takes it, and finds pixels of the right size where files would have to be
    decoded. Training and evaluation on it need no TensorFlow.

    Args:
        images: uint8 array `(N, height, width, 3)`, which may lie on disk, as
            `numpy.memmap`.
        image_ids: Integers `(N,)`, as in `Split`.
        captions: List of `M` strings.
        caption_image_ids: Integers `(M,)`.
        tokens: Dict of arrays `(M, length)`: `token_ids`, int32, and `padding_mask`, bool.
        fingerprint: String, which preprocessor made it, and of what: of pixels that it shares
            with a split only how many.
        name: String. Defaults to `""`.
        skipped: Dict, as in `Split`. Defaults to `None`.

    Raises:
        ValueError: As `Split`, or if there is not a row of tokens for each caption.

    Example:

    ```python
    packed = rocmr_keras.data.pack(splits["train"], preprocessor)
    packed.images.dtype, packed.tokens["token_ids"].shape
    ```
    """

    def __init__(
        self,
        images,
        image_ids,
        captions,
        caption_image_ids,
        tokens,
        fingerprint,
        name="",
        skipped=None,
    ):
        super().__init__(images, image_ids, captions, caption_image_ids, name, skipped)
        self.tokens = {name: np.asarray(tokens[name]) for name in TOKENS}
        self.fingerprint = fingerprint
        for key, rows in self.tokens.items():
            if len(rows) != len(self.captions):
                raise ValueError(
                    "`tokens` must have a row for each caption. Received: "
                    f"{len(rows)} rows of {key}, {len(self.captions)} captions. "
                    "Make it with `rocmr_keras.data.pack`."
                )

    def take(self, indices):
        """Keeps the images at `indices`, in that order, with their captions and tokens.

        Args:
            indices: Integers, positions in `images`.

        Returns:
            A `PackedSplit`, in memory.
        """
        part = super().take(indices)
        kept = np.isin(self.caption_image_ids, part.image_ids)
        packed = PackedSplit(
            part.images,
            part.image_ids,
            part.captions,
            part.caption_image_ids,
            {name: rows[kept] for name, rows in self.tokens.items()},
            fingerprints.of_part(self.fingerprint, indices),
            name=self.name,
            skipped=self.skipped,
        )
        return self.hand_on(packed)

    def check_preprocessor(self, preprocessor):
        """Refuses a preprocessor that would have made other pixels or tokens.

        Args:
            preprocessor: `rocmr_keras.data.Preprocessor`.

        Raises:
            ValueError: If the pack was made by another.
        """
        if self.fingerprint.partition("-")[0] != fingerprints.preprocessor_hash(preprocessor):
            raise ValueError(
                "A packed split must be used with the preprocessor that made it. Received: "
                f"{self} and preprocessor={preprocessor}, whose settings or vocabulary are "
                "others. Pack the split that it was made of again."
            )


def write_tables(packed, folder):
    """Writes all of a pack but its images into a folder, its description last.

    Args:
        packed: `PackedSplit`.
        folder: Path of a folder.
    """
    folder = pathlib.Path(folder)
    tables = {"image_ids": packed.image_ids, "caption_image_ids": packed.caption_image_ids}
    for name, table in {**tables, **packed.tokens}.items():
        np.save(folder / f"{name}.npy", table)
    # ASCII, for a caption may hold what UTF-8 cannot.
    (folder / "captions.json").write_text(json.dumps(packed.captions), "ascii")
    described = {
        "version": _VERSION,
        "fingerprint": packed.fingerprint,
        "images": len(packed),
        "name": packed.name,
        "skipped": packed.skipped,
    }
    (folder / "pack.json").write_text(json.dumps(described), "ascii")


def open_pack(folder):
    """Opens a folder that `rocmr_keras.data.pack` wrote; decodes nothing.

    Images stay on disk and are read when they are asked for. Needs no TensorFlow, so that
    a machine with JAX or PyTorch alone can train on it.

    Args:
        folder: Path.

    Returns:
        A `PackedSplit`.

    Raises:
        ValueError: If there is no whole pack, or it is of a later release.

    Example:

    ```python
    packed = rocmr_keras.data.open_pack("packs/train")
    trainer.fit(rocmr_keras.data.batches(packed, batch_size=64), epochs=20)
    ```
    """
    path = pathlib.Path(folder)
    try:
        described = json.loads((path / "pack.json").read_text("ascii"))
    except (OSError, ValueError) as error:
        raise _not_a_pack(folder, f"no readable `pack.json` ({error})") from error
    if described.get("version") != _VERSION:
        raise _not_a_pack(folder, f"version {described.get('version')} of the format")
    names = ("image_ids", "caption_image_ids", *TOKENS)
    try:
        tables = {name: np.load(path / f"{name}.npy") for name in names}
        images = np.load(path / "images.npy", mmap_mode="r")[: described["images"]]
        captions = json.loads((path / "captions.json").read_text("ascii"))
    except (OSError, ValueError) as error:
        raise _not_a_pack(folder, str(error)) from error
    return PackedSplit(
        images,
        tables["image_ids"],
        captions,
        tables["caption_image_ids"],
        {name: tables[name] for name in TOKENS},
        described["fingerprint"],
        described["name"],
        described["skipped"],
    )


def _not_a_pack(folder, what):
    return ValueError(
        "`folder` must be a whole folder of `rocmr_keras.data.pack`. Received: "
        f"folder={os.fspath(folder)!r}, {what}. Pack the split again."
    )
