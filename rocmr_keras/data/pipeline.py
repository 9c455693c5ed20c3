import dataclasses
import functools

import keras
import numpy as np

from rocmr_keras.data.batch_plan import BatchPlan
from rocmr_keras.data.epoch_order import EpochOrder
from rocmr_keras.data.mined_order import MinedOrder

# An endless stream ends where nobody gets to.
_ENDLESS = 2**62


def batches(
    split,
    preprocessor=None,
    batch_size=32,
    shuffle=True,
    seed=0,
    captions="one",
    augment=None,
    drop_remainder=False,
):
    """Streams a split as batch dicts that `fit` of every backend takes.

    What is in a batch is a function of the seed, the epoch and the step: the same on every
    backend and on every run, so that a run can be resumed. Batches are gathered from
    decoded pixels in threads, ahead of the training step, also over the end of an epoch.

    Args:
        split: `rocmr_keras.data.PackedSplit`, or a `Split`, which `rocmr_keras.data.pack`
            packs when the first batch is asked for.
        preprocessor: `rocmr_keras.data.Preprocessor`. A packed split needs none, except for
            `Batches.with_edits`. Defaults to `None`.
        batch_size: Integer, examples per batch. Defaults to `32`.
        shuffle: Boolean, whether each epoch has an order of its own. Defaults to
            `True`.
        seed: Integer. Defaults to `0`.
        captions: `"one"`: an epoch has each image once, with one of its captions
            drawn anew; `"all"`: an epoch has every pair of an image and a caption
            of its. Defaults to `"one"`.
        augment: `rocmr_keras.data.RandomShift`, or another object with
            `apply_at(images, epoch, position)`, which maps uint8 pixels of images that follow
            one another in an epoch, in several threads. Or a callable that maps float images
            `(B, H, W, 3)` in `[0, 1]` to the same, batch after batch: a Keras augmentation
            layer, several in a `keras.layers.Pipeline`; what it returns is clipped
            to the range. Seeds of Keras layers are set before each call; a callable with
            another source of randomness does not draw the same in a resumed run.
            Defaults to `None`.
        drop_remainder: Boolean, whether to leave out a last, smaller batch.
            Defaults to `False`.

    Returns:
        A `Batches`. Its dicts hold `images` float32
        `(B, H, W, 3)` in `[0, 1]`, `token_ids` int32 `(B, L)`, `padding_mask` bool
        `(B, L)` and `image_ids` int32 `(B,)`, equal ids being positives of each
        other. Its `shard`, `with_edits`, `with_hard_negatives` and `as_uint8` change what is
        read; to go on as an interrupted run would have, set its `epoch`.

    Raises:
        ValueError: If `split` is none, `captions` is unknown, there is no whole batch, or the
            split was packed by another preprocessor.

    Example:

    ```python
    dataset = rocmr_keras.data.batches(splits["train"], preprocessor, batch_size=128)
    trainer.fit(dataset, epochs=20)
    ```
    """
    if not hasattr(split, "caption_image_ids"):
        raise ValueError(
            "`split` must be a `rocmr_keras.data.Split`. Received: split of type "
            f"{type(split).__name__}. Pass for example `rocmr_keras.data.load(...)['train']`."
        )
    order = EpochOrder(split, captions, shuffle, seed)
    return Batches(BatchPlan(split, preprocessor, order, batch_size, augment, drop_remainder))


class Batches(keras.utils.PyDataset):
    """Batches of a split, epoch after epoch, made by `rocmr_keras.data.batches`.

    To iterate gives one epoch, and the next one the next time. An epoch is over when its
    last batch has been handed out; whoever stops earlier gets the same epoch again.
    `RoCMR.fit` reads it ahead, also over the end of an epoch. A plain `keras.Model.fit` takes
    it too; with `shuffle=False`, or Keras draws another order of the batches.

    Args:
        plan: `BatchPlan`, carried out when the first batch is asked for.
        epoch: Integer, the epoch to begin with. Defaults to `0`.
        dtype: `"float32"` or `"uint8"`, of the images. Defaults to `"float32"`.

    Attributes:
        epoch: Integer, the epoch that comes next. `fit` moves it on.
        step: Integer, how many steps of that epoch were taken before and are passed over by
            the next `RoCMR.fit`. Not zero where `rocmr_keras.callbacks.Checkpoint` restored a
            run that ended within an epoch.
    """

    def __init__(self, plan, epoch=0, dtype="float32"):
        super().__init__()
        self.epoch = epoch
        self.dtype = dtype
        self.step = 0
        self._plan = plan
        self._has_begun = False
        self._steps = plan.steps
        self._finish = plan.finisher()

    def shard(self, index, count):
        """Returns the part of every batch that one of several training processes reads.

        The parts in order of their index are the batch that one process would read, with the
        same shifts and edits; `batch_size` is that of all together.

        Args:
            index: Integer, which part, counted from 0.
            count: Integer, how many parts there are.

        Returns:
            Another `Batches`, at the same epoch.

        Raises:
            ValueError: If there is no such part, a batch cannot be divided into equal ones, or
                the augmentation draws by the batch.

        Example:

        ```python
        dataset = rocmr_keras.data.batches(packed, batch_size=128, drop_remainder=True)
        trainer.fit(dataset.shard(process, 4), epochs=20)
        ```
        """
        return self._changed(shard=(index, count))

    def with_edits(self, edits):
        """Returns the same batches with edits of each caption, for an attack that chooses.

        Args:
            edits: Callable that edits a caption, `rocmr_keras.attacks.CharacterDraws` or
                `HumanDraws`. All of it is tokenised: `CharacterDraws` gives by default 72
                texts for each caption.

        Returns:
            Another `Batches`, at the same epoch. Its dicts hold `candidate_token_ids` and
            `candidate_padding_mask` too, `(B, *edits.shape, L)`.

        Raises:
            ValueError: If the batches were made without a preprocessor.

        Example:

        ```python
        dataset = rocmr_keras.data.batches(split, preprocessor, batch_size=128)
        trainer.fit(dataset.with_edits(rocmr_keras.attacks.CharacterDraws()), epochs=20)
        ```
        """
        return self._changed(edits=edits)

    def with_hard_negatives(self, embeddings, group_size=8, skip_share=0.01):
        """Returns the same examples, those that are easily confused in one batch.

        Examples of one group have different ids, and count as negatives of each other. Embeddings
        are given once: what is hard is what was hard for the model that they are of. An epoch
        takes a product of all images with all captions, divided by the size of a group.

        Args:
            embeddings: Object with `images` and `texts`, float arrays with a row of length 1 for
                each image and caption of the split, as of `rocmr_keras.evaluation.encode`.
            group_size: Integer, the examples that are put together; a batch has several such
                groups. Defaults to `8`.
            skip_share: Float in [0, 1), the share of all examples, those nearest to one, that are
                not put beside it: captions that fit, under another id. Defaults to `0.01`.

        Returns:
            Another `Batches`, at the same epoch.

        Raises:
            ValueError: If an argument is out of its range, there is not an embedding for each
                image and caption, or the order is not shuffled.

        Example:

        ```python
        embeddings = rocmr_keras.evaluation.encode(model, packed)
        dataset = rocmr_keras.data.batches(packed, batch_size=128)
        trainer.fit(dataset.with_hard_negatives(embeddings), epochs=5)
        ```
        """
        split, order = self._plan.split, self._plan.order
        given = len(embeddings.images), len(embeddings.texts)
        if given != (len(split), len(split.captions)) or not getattr(order, "shuffle", False):
            raise ValueError(
                "`embeddings` must have a row for each image and caption of a split that is "
                f"shuffled, once. Received: {given[0]} and {given[1]} rows for {split}. Encode "
                "the split that the batches are of."
            )
        both = embeddings.images, embeddings.texts
        mined = MinedOrder(order, split.image_ids, both, group_size, skip_share)
        return self._changed(order=mined)

    def as_uint8(self):
        """Returns the same batches with images in bytes, of which `RoCMR` makes floats.

        With its `chunk_size` it does so some rows at a time: a large batch takes a quarter of the
        memory.

        Returns:
            Another `Batches`, at the same epoch. Its dicts hold `images` uint8.

        Raises:
            ValueError: If the augmentation is one of floats.

        Example:

        ```python
        dataset = rocmr_keras.data.batches(packed, batch_size=4096)
        RoCMR(model, image_attack, text_attack, chunk_size=64).fit(dataset.as_uint8())
        ```
        """
        if self._finish is not None:
            raise ValueError(
                "Images stay bytes where `augment` takes pixels of 0 to 255. Received: "
                f"augment={self._plan.augment}. Use `rocmr_keras.data.RandomShift`, or floats."
            )
        changed = self._changed()
        changed.dtype = "uint8"
        return changed

    def _changed(self, **changes):
        plan = dataclasses.replace(self._plan, **changes)
        changed = Batches(plan, self.epoch, self.dtype)
        changed.step = self.step
        return changed

    def __len__(self):
        return self._steps

    def on_epoch_begin(self):
        self._has_begun = True

    def on_epoch_end(self):
        # Keras also calls it before the first epoch.
        self.epoch += int(self._has_begun)
        self._has_begun = False

    def __getitem__(self, index):
        return self._complete(self._read(self.epoch * self._steps + index))

    def __iter__(self):
        epoch = self.epoch
        start = epoch * self._steps
        for step, batch in enumerate(self._open(start, start + self._steps)):
            if step == self._steps - 1:
                self.epoch = epoch + 1
            yield batch

    def stream(self, epoch=None, step=0, repeat=False, features=None):
        """Opens an endless stream, for a `fit` that is told the number of steps.

        Args:
            epoch: Integer, the epoch to begin in. Defaults to `None`, the one that
                comes next.
            step: Integer, the step of that epoch to begin at. Defaults to `0`.
            repeat: Boolean, whether the same epoch comes again and again, as suits
                validation. Defaults to `False`.
            features: Dict from `"images"` or `"texts"` to a float array with a row for each
                image or caption: batches bring `image_features` instead of `images`, and
                `text_features` beside the tokens. Defaults to `None`.

        Returns:
            A `grain.IterDataset`.
        """
        start = (self.epoch if epoch is None else epoch) * self._steps + step
        return self._open(start, _ENDLESS, repeat, features)

    def constant_rows(self, side, start, stop):
        """Returns which images or captions some steps draw, where they come as they are.

        Args:
            side: `"images"` or `"texts"`.
            start: Integer, the first step, counted over epochs.
            stop: Integer, the step after the last one.

        Returns:
            Integer array, empty if each epoch has them augmented anew.
        """
        if side == "images" and self._plan.augment is not None:
            return np.zeros(0, "int32")
        column = ("images", "texts").index(side)
        places = (divmod(place, self._steps) for place in range(start, stop))
        drawn = [self._reader.rows(*place)[:, column] for place in places]
        return np.concatenate([np.zeros(0, "int32"), *drawn])

    def image_ids_at(self, epoch, step):
        """Returns the ids of the images of a step: an int32 array."""
        return self._reader.packed.image_ids[self._reader.rows(epoch, step)[:, 0]]

    def load(self, side, rows):
        """Returns the inputs of some rows of `constant_rows`, as in a batch."""
        return self._reader.load(side, rows)

    @property
    def batch_size(self):
        """Integer, examples per batch of all shards together."""
        return self._plan.batch_size

    @property
    def part(self):
        """Tuple of integers, which shard of how many this is."""
        return self._plan.shard

    @property
    def batch_sizes(self):
        """Set of integers, how many examples batches of all shards together have."""
        return self._plan.batch_sizes

    def _open(self, start, stop, repeat=False, features=None):
        # Loads JAX, where that is installed.
        import grain

        # Packed here and now, not in a thread of which nobody sees the progress.
        self._reader
        positions = grain.MapDataset.range(start, stop)
        if repeat:
            first = start - start % self._steps
            positions = positions.map(lambda place: first + place % self._steps)
        # More threads than this hold each other up, for all are in Python.
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        read = functools.partial(self._read, features=features)
        dataset = positions.map(read).to_iter_dataset(options)
        return dataset.map(self._complete)

    @functools.cached_property
    def _reader(self):
        return self._plan.open(self.dtype)

    def _read(self, place, features=None):
        place = divmod(int(place), self._steps)
        return place, self._reader(*place, features)

    def _complete(self, element):
        place, batch = element
        return batch if self._finish is None else self._finish(batch, *place)
