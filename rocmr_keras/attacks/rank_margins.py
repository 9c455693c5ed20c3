"""Margins at any rank: what tells recall@k exactly, as `margin` does recall@1."""

import keras
from keras import ops

from rocmr_keras.attacks.checks import check_count
from rocmr_keras.attacks.objectives import NO_ITEM
from rocmr_keras.attacks.objectives import right_and_wrong

# More than a margin can change while its rank is not lost: one more rank lost then outweighs
# whatever can be gained within a rank.
_PER_RANK = 4.0


@keras.saving.register_keras_serializable(package="rocmr_keras")
class MarginAtK:
    """The k-th best wrong similarity minus the best right one: from 0 on recall@k is lost.

    `margin` is the case `k=1`. As in ranks, the best of several right items counts, and a
    tie counts against the model. Where the gallery has fewer than `k` wrong items, nothing
    can put the query out of the first `k`: the similarity of the missing item is taken for
    -2. In training the gallery is the batch, so `k` is a rank within the batch, and the
    direction of the attacked example alone counts.

    Args:
        k: Integer, at least 1.

    Call arguments:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`.

    Returns:
        Float tensor `(n * batch,)`, between -2 and 2; below -1 where there is no such item.

    Raises:
        ValueError: If `k` is not a positive integer.

    Example:

    ```python
    threat = Threat(APGD(8 / 255), objective=MarginAtK(5))
    ```
    """

    def __init__(self, k):
        self.k = check_count("k", k)
        # What a report calls it, as it calls a function by its name.
        self.__name__ = f"margin_at_{k}"

    def __call__(self, embeddings, target):
        (margin,) = _margins(embeddings, target, (self.k,))
        return ops.reshape(margin, (-1,))

    def get_config(self):
        return {"k": self.k}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="rocmr_keras")
class MarginsInTurn:
    """The margins at several ranks, one after the other, each as soon as the last is lost.

    While the query is right at the first rank it is the margin there. Once that is lost, the
    margin at the next rank counts, and a constant for each rank lost, which outweighs
    any margin. So one attack pushes a query as far down as it can, and of its iterates the
    one that loses the most ranks is the best. `MarginAtK` looks at one rank only.

    Args:
        ks: Tuple of increasing positive integers. Defaults to `(1, 5, 10)`.
        first: Integer, the rank to begin with: smaller ones of `ks` are left out. One
            compiled attack serves all values. Defaults to `1`.

    Call arguments:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target`; its `first_rank`, where it has one, takes the place of `first`.

    Returns:
        Float tensor `(n * batch,)`: 4 for each rank that is lost or left out, plus the margin at
        the smallest one that is not, or at the largest where all are.

    Raises:
        ValueError: If a rank is not a positive integer, they do not increase, or `first` is
            above them all.
    """

    def __init__(self, ks=(1, 5, 10), first=1):
        self.ks = _check_ranks(ks)
        self.first = check_count("first", first)
        if first > self.ks[-1]:
            raise ValueError(
                f"`first` must be at most the largest of `ks`. Received: first={first}, "
                f"ks={self.ks}. Use e.g. first={self.ks[-1]}."
            )
        self.__name__ = "margin_at_" + "_".join(str(k) for k in self.climbed)

    @property
    def climbed(self):
        """Tuple of the ranks that are not left out."""
        return tuple(k for k in self.ks if k >= self.first)

    @property
    def compiled_as(self):
        """What a compiled attack depends on: not `first`, which each batch brings."""
        return type(self), self.ks

    def __call__(self, embeddings, target):
        first = self.first if target.first_rank is None else target.first_rank
        margins = _margins(embeddings, target, self.ks)
        left = [ops.logical_and(m < 0.0, first <= k) for k, m in zip(self.ks, margins)]
        losses, lost = margins[-1], 0.0
        # From the largest on: in the end it is the margin of the smallest rank that is left.
        for margin, is_left in zip(margins[::-1], left[::-1]):
            losses = ops.where(is_left, margin, losses)
            lost = lost + ops.cast(ops.logical_not(is_left), losses.dtype)
        return ops.reshape(_PER_RANK * lost + losses, (-1,))

    def get_config(self):
        return {"ks": self.ks, "first": self.first}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="rocmr_keras")
class TargetedMargin:
    """The similarity of one chosen wrong item minus that of the best right one.

    `margin` follows whichever wrong item is nearest at each step, and may stay between two.
    Here it is the same one all the way, chosen by how near it is to the clean query. Where
    another item loses recall@1 before, that counts as well: 4 plus the margin to it.

    Args:
        rival: Integer, which one: `1` for the nearest wrong item. Where the gallery has fewer,
            the similarity of the missing one is taken for -2. Defaults to `1`.
        rivals: Integer, the largest `rival` that is asked for; one compiled attack serves all.
            Defaults to `3`.

    Call arguments:
        embeddings: Float tensor `(n * batch, dim)`, L2-normalised.
        target: A `Target` that knows the clean embeddings; its `first_rank`, where it has one,
            takes the place of `rival`.

    Returns:
        Float tensor `(n * batch,)`: from 0 on recall@1 is lost.

    Raises:
        ValueError: If `rival` is not a positive integer, or larger than `rivals`.

    Reference:
        - [Croce & Hein, 2020](https://arxiv.org/abs/2003.01690), targeted APGD; theirs climbs a
          ratio of logits, for nine classes
    """

    def __init__(self, rival=1, rivals=3):
        self.rival, self.rivals = check_count("rival", rival), check_count("rivals", rivals)
        if rival > rivals:
            raise ValueError(
                "`rival` must be at most `rivals`. Received: "
                f"rival={rival}, rivals={rivals}. Use e.g. rivals={rival}."
            )
        self.__name__ = f"targeted_margin_{rival}"

    @property
    def first(self):
        """What each batch brings, as with `MarginsInTurn`."""
        return self.rival

    @property
    def compiled_as(self):
        """What a compiled attack depends on: not `rival`, which each batch brings."""
        return type(self), self.rivals

    def __call__(self, embeddings, target):
        right, wrong = right_and_wrong(embeddings, target)
        _, clean = right_and_wrong(target.clean, target)
        wrong, clean = _at_least(self.rivals, wrong), _at_least(self.rivals, clean)[0]
        _, nearest = ops.top_k(clean, self.rivals)
        rival = self.rival if target.first_rank is None else target.first_rank
        turn = ops.arange(1, self.rivals + 1) == ops.reshape(rival, (-1, 1))
        chosen = ops.sum(ops.where(turn, nearest, 0), axis=-1, keepdims=True)
        is_chosen = ops.arange(ops.shape(wrong)[-1]) == chosen
        targeted = ops.sum(ops.where(is_chosen, wrong, 0.0), axis=-1) - right
        margin = ops.max(wrong, axis=-1) - right
        losses = ops.where(margin < 0.0, targeted, _PER_RANK + margin)
        return ops.reshape(losses, (-1,))

    def get_config(self):
        return {"rival": self.rival, "rivals": self.rivals}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _margins(embeddings, target, ks):
    """Returns the margin at each rank, `(n, batch)`, from one sort."""
    right, wrong = right_and_wrong(embeddings, target)
    best, _ = ops.top_k(_at_least(ks[-1], wrong), ks[-1])
    return [best[..., k - 1] - right for k in ks]


def _at_least(count, wrong):
    """Pads similarities `(n, batch, items)` to so many items, if there may be fewer."""
    items = wrong.shape[-1]
    # `None` where the size of the gallery is known at run time only.
    if items is None or items < count:
        wrong = ops.pad(wrong, ((0, 0), (0, 0), (0, count)), constant_values=NO_ITEM)
    return wrong


def _check_ranks(ks):
    ks = tuple(check_count("ks", k) for k in ks)
    if not ks or any(k >= larger for k, larger in zip(ks, ks[1:])):
        raise ValueError(
            f"`ks` must be increasing ranks, at least one. Received: ks={ks}. Write e.g. "
            "ks=(1, 5, 10)."
        )
    return ks
