import dataclasses
import functools
import numbers

from rocmr_keras.data.augmentation import OneAfterTheOther
from rocmr_keras.data.batch_reader import BatchReader
from rocmr_keras.data.epoch_order import EpochOrder
from rocmr_keras.data.packs.pack import pack
from rocmr_keras.data.packs.packed_split import PackedSplit
from rocmr_keras.data.process_shards import check_shard
from rocmr_keras.data.text_candidates import candidate_maker


@dataclasses.dataclass(frozen=True, eq=False)
class BatchPlan:
    """What will be in the batches of a split, before any of it is read.

    Args:
        split: `rocmr_keras.data.PackedSplit` or `Split`.
        preprocessor: `rocmr_keras.data.Preprocessor`, or `None`.
        order: `EpochOrder` of the split.
        batch_size: Integer, examples per batch of all shards together.
        augment: As in `rocmr_keras.data.batches`.
        drop_remainder: Boolean, whether a last, smaller batch is left out.
        edits: As in `Batches.with_edits`. Defaults to `None`.
        shard: Tuple of integers `(index, count)`. Defaults to `(0, 1)`, the whole.

    Raises:
        ValueError: If there is no whole batch, the split was packed by another preprocessor, a
            preprocessor is missing, or a batch cannot be divided into equal shards.
    """

    split: PackedSplit
    preprocessor: object
    order: EpochOrder
    batch_size: int
    augment: object
    drop_remainder: bool
    edits: object = None
    shard: tuple = (0, 1)

    def __post_init__(self):
        self._check_preprocessor()
        self._check_batch_size()
        examples = min(len(self.order), self.steps * self.batch_size)
        check_shard(self.shard, examples, self.batch_size, self.augment)

    @functools.cached_property
    def steps(self):
        """Integer, batches in an epoch."""
        examples, size = len(self.order), self.batch_size
        return examples // size if self.drop_remainder else -(-examples // size)

    @property
    def batch_sizes(self):
        """Set of integers, the sizes of batches, the last one's among them."""
        examples, size = len(self.order), self.batch_size
        return {min(size, examples)} | (
            {examples % size} - {0} if not self.drop_remainder else set()
        )

    def open(self, dtype="float32"):
        """Packs the split, where it is not packed, and returns a `BatchReader`."""
        packed = pack(self.split, self.preprocessor) if self.preprocessor else self.split
        candidates = self.edits and candidate_maker(packed, self.preprocessor, self.edits)
        shift = self.augment if self._knows_places else None
        parts = packed, self.order, self.batch_size, shift, candidates, self.shard
        return BatchReader(*parts, dtype)

    def finisher(self):
        """Returns what is called on each batch after it was read, or `None`."""
        if self.augment is None or self._knows_places:
            return None
        return OneAfterTheOther(self.augment, self.order.seed)

    @property
    def _knows_places(self):
        return hasattr(self.augment, "apply_at")

    def _check_preprocessor(self):
        is_packed = isinstance(self.split, PackedSplit)
        if self.preprocessor is None and (self.edits or not is_packed):
            raise ValueError(
                "`preprocessor` must be given for a split that is not packed, and for `edits`. "
                f"Received: preprocessor=None, {self.split}, edits={self.edits}. "
                "Pass that of the model."
            )
        if self.preprocessor is not None and is_packed:
            self.split.check_preprocessor(self.preprocessor)

    def _check_batch_size(self):
        examples, size = len(self.order), self.batch_size
        is_whole = isinstance(size, numbers.Integral)
        if not is_whole or size < 1 or examples < (size if self.drop_remainder else 1):
            raise ValueError(
                "`batch_size` must be a positive integer and, where `drop_remainder=True`, at most "
                f"the number of examples. Received: batch_size={size}, {examples} examples. "
                "Change it, or keep the remainder."
            )
