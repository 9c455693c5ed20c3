import copy
import numbers
import os

import numpy as np

from rocmr_keras.data.image_numbers import number
from rocmr_keras.data.images import check_pixels


class Split:
    """Images and captions of one split, matched by id, many to many.

    An image and a caption belong together if and only if their ids are equal:
    several captions of one photo share its id, and so do several drawings of
    one concept. Files are named here and read later, by
    `rocmr_keras.data.batches`.

    Args:
        images: List of `N` file paths, or an array `(N, height, width, 3)`,
            uint8 or float in `[0, 1]`.
        image_ids: Integers `(N,)`, the id of each image, or other hashable values, such as
            strings: these, and integers of more than 32 bits, are numbered.
        captions: List of `M` strings.
        caption_image_ids: The same `(M,)`, the id of each caption's images.
        name: String, shown in messages. Defaults to `""`.
        skipped: Dict of a reason to the list of what was left out for it when the
            split was read. Defaults to `None`, nothing.

    Attributes:
        merges_duplicates: Boolean, see `merge_duplicates`.
        id_names: List of the ids that were given, in the order of their numbers, or `None` where
            they are what `image_ids` holds.

    Raises:
        ValueError: If lengths differ, if an image has no caption or a caption
            no image, if ids are floats, or if an array of pixels has another shape or range.

    Example:

    ```python
    split = rocmr_keras.data.Split(
        images=["cat.jpg", "dog.jpg"],
        image_ids=[0, 1],
        captions=["a cat", "a sleeping cat", "a dog"],
        caption_image_ids=[0, 0, 1],
    )
    len(split)  # 2 images
    ```
    """

    merges_duplicates = False

    def __init__(self, images, image_ids, captions, caption_image_ids, name="", skipped=None):
        self.name = name
        self.skipped = dict(skipped or {})
        self.images = _check_images(images)
        self.image_ids, self.caption_image_ids, self.id_names = number(image_ids, caption_image_ids)
        self.captions = _check_captions(captions)
        self._check_lengths()
        self._check_matches()

    def __len__(self):
        return len(self.images)

    def __repr__(self):
        return (
            f"<Split name={self.name!r} images={len(self)} "
            f"captions={len(self.captions)} ids={len(np.unique(self.image_ids))}>"
        )

    def captions_of(self, image_id):
        """Returns the list of captions that share `image_id`."""
        return [self.captions[i] for i in np.flatnonzero(self.caption_image_ids == image_id)]

    def merge_duplicates(self):
        """Returns the same split, of which evaluations count equal captions as one.

        A caption that stands under several ids is then right for the images of each, and each
        image for all copies of its captions; else only one of equal answers counts, by chance.
        Captions are equal if they are so stripped and without regard to capitals. Training does
        not look at it.

        Returns:
            A `Split`, which shares everything with this one.

        Example:

        ```python
        report = rocmr_keras.evaluation.evaluate(model, splits["test"].merge_duplicates())
        ```
        """
        merged = copy.copy(self)
        merged.merges_duplicates = True
        return merged

    def subset(self, n_images, seed=0):
        """Draws images at random, with all captions of theirs.

        Args:
            n_images: Integer, how many images to keep, at most `len(split)`.
            seed: Integer. Defaults to `0`.

        Returns:
            A `Split` in the same order as this one.

        Raises:
            ValueError: If `n_images` is no integer between 1 and `len(split)`.
        """
        if not (isinstance(n_images, numbers.Integral) and 1 <= n_images <= len(self)):
            raise ValueError(
                f"`n_images` must be an integer from 1 to the number of images, {len(self)}. "
                f"Received: n_images={n_images}. Ask for fewer images."
            )
        drawn = np.random.default_rng(seed).permutation(len(self))[:n_images]
        return self.take(np.sort(drawn))

    def take(self, indices):
        """Keeps the images at `indices`, in that order, with their captions.

        Args:
            indices: Integers, positions in `images`; or booleans, one for each image.

        Returns:
            A `Split`.

        Raises:
            ValueError: If there is no such position.
        """
        indices = _check_indices(indices, len(self))
        image_ids = self.image_ids[indices]
        kept = np.flatnonzero(np.isin(self.caption_image_ids, image_ids))
        images = self.images
        part = Split(
            images[indices] if isinstance(images, np.ndarray) else [images[i] for i in indices],
            image_ids,
            [self.captions[i] for i in kept],
            self.caption_image_ids[kept],
            name=self.name,
            skipped=self.skipped,
        )
        return self.hand_on(part)

    def hand_on(self, part):
        """Gives a part of this split what holds for it too, and returns it."""
        part.id_names = self.id_names
        part.merges_duplicates = self.merges_duplicates
        return part

    def _check_lengths(self):
        pairs = (
            ("image_ids", self.image_ids, "images", self.images),
            ("caption_image_ids", self.caption_image_ids, "captions", self.captions),
        )
        for ids_name, ids, items_name, items in pairs:
            if len(ids) != len(items):
                raise ValueError(
                    f"`{ids_name}` must have one entry for each of `{items_name}`. Received: "
                    f"len({ids_name})={len(ids)}, len({items_name})={len(items)}. "
                    "Repeat the id where several share it."
                )

    def _check_matches(self):
        lonely = np.setdiff1d(self.image_ids, self.caption_image_ids)
        if lonely.size:
            where = int(np.flatnonzero(self.image_ids == lonely[0])[0])
            what = where if isinstance(self.images, np.ndarray) else repr(self.images[where])
            raise ValueError(
                f"Every image must have a caption. Received: {lonely.size} image ids without "
                f"one, first image_id={lonely[0]} (image {what}). Leave these images out."
            )
        orphans = np.setdiff1d(self.caption_image_ids, self.image_ids)
        if orphans.size:
            where = int(np.flatnonzero(self.caption_image_ids == orphans[0])[0])
            raise ValueError(
                f"Every caption must have an image. Received: {orphans.size} ids without one, "
                f"first caption_image_id={orphans[0]} (caption {self.captions[where][:80]!r}). "
                "Leave these captions out."
            )


def _check_captions(captions):
    _check_no_string("captions", captions)
    captions = list(captions)
    for position, caption in enumerate(captions):
        if not isinstance(caption, str):
            raise ValueError(
                "`captions` must be strings, all captions in one flat list. "
                f"Received: {caption!r} at position {position}. "
                "Repeat the id of an image for each of its captions."
            )
    return captions


def _check_images(images):
    if isinstance(images, np.ndarray):
        return check_pixels(images)
    _check_no_string("images", images)
    images = list(images)
    kinds = {type(image).__name__ for image in images if not isinstance(image, (str, os.PathLike))}
    if kinds:
        raise ValueError(
            "`images` must be a list of paths, or one array (N, height, width, 3). Received: a "
            f"list with {', '.join(sorted(kinds))}. Stack images of one size with `numpy.stack`; "
            "others are read from files."
        )
    return [os.fspath(path) for path in images]


def _check_no_string(name, values):
    if isinstance(values, (str, bytes)):
        raise ValueError(
            f"`{name}` must be a list, or each letter is taken for one of its items. Received: "
            f"{name}={values!r:.80}. Put it into a list."
        )


def _check_indices(indices, count):
    indices = np.asarray(indices)
    if indices.dtype == bool and indices.shape == (count,):
        return np.flatnonzero(indices)
    whole = indices.dtype.kind in "iu" or not indices.size
    if indices.ndim != 1 or not whole or np.any((indices < -count) | (indices >= count)):
        raise ValueError(
            f"`indices` must be positions among the {count} images, or a boolean for each. "
            f"Received: {indices!r:.80}. `range(len(split))` are all of them."
        )
    return indices.astype("int64")


def hold_out(split, share, seed=0):
    """Splits off a share of the images at random, with all captions of theirs.

    Images with one id, which share their captions, stay together. The draw depends on the ids
    and the seed alone, so that every run of one data set tests the same images.

    Args:
        split: A `Split`.
        share: Float between 0 and 1, of the ids that are split off.
        seed: Integer. Defaults to `0`.

    Returns:
        Tuple of two `Split`, what stays, under the name of `split`, and what is split off,
        `"test"`.

    Raises:
        ValueError: If `share` is not between 0 and 1, or leaves one side without an image.

    Example:

    ```python
    splits = dict(zip(("train", "test"), hold_out(splits["train"], 0.1)))
    ```
    """
    ids = np.unique(split.image_ids)
    count = round(share * len(ids)) if 0 < share < 1 else 0
    if not 0 < count < len(ids):
        raise ValueError(
            "`share` must be between 0 and 1 and leave images on both sides. Received: "
            f"share={share}, a split with {len(ids)} different image ids. Pass for example 0.1."
        )
    chosen = np.random.default_rng(seed).choice(ids, count, replace=False)
    is_chosen = np.isin(split.image_ids, chosen)
    kept, held = (split.take(np.flatnonzero(side)) for side in (~is_chosen, is_chosen))
    held.name = "test"
    return kept, held
