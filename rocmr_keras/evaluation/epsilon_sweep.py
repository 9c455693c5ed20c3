import inspect

import numpy as np

from rocmr_keras.attacks.checks import QUERY_KEYS
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.losses import query_losses
from rocmr_keras.evaluation.encoding.queries import QueryAttacker
from rocmr_keras.evaluation.encoding.queries import make_encoder
from rocmr_keras.metrics.ranks import recall_at_k

_DIRECTION = "image_to_text"


def epsilon_curve(
    model, split, attack, epsilons, objective="contrastive", k=1, batch_size=64, verbose=1
):
    """Measures recall at several epsilons, each attack starting from the last one's result.

    The ball of a larger epsilon contains that of a smaller one, so the images found so far
    are a valid start, and no image's loss falls as epsilon grows. With the objective
    `"margin"` recall@1 never rises; with other objectives it rarely does.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        attack: A `PGD` or `APGD`, or another attack on images with an `epsilon` whose
            `call` takes a `start`. Its own epsilon is not used; a `step_size` is that of
            the largest budget and shrinks with it.
        epsilons: List of floats, the budgets in units of the attack's `value_range`; 0 is
            the clean recall.
        objective: String or callable. Defaults to `"contrastive"`.
        k: Integer, the recall is among the first `k`. Defaults to `1`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Returns:
        Dict with `epsilon` and `recall`, lists in ascending order of the budget (for
        `rocmr_keras.reports.pictures.recall_against_epsilon`), `ranks`, integer array
        `(epsilons, images)`, and `losses`, float array `(epsilons, images)`, which never
        falls along the first axis.

    Raises:
        ValueError: If a budget is negative, there is none, or the attack takes no start.

    Example:

    ```python
    curve = epsilon_curve(model, split, APGD(8 / 255), [0, 1 / 255, 2 / 255, 4 / 255])
    pictures.recall_against_epsilon("curve.png", {"rocmr": curve})
    ```
    """
    epsilons = _check_epsilons(epsilons)
    _check_attack(attack)
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=verbose)
    climb = _Climb(encoded, attack, objective, epsilons[-1])
    for epsilon in epsilons:
        if epsilon > 0:
            climb.raise_to(epsilon)
        climb.record()
    recalls = [recall_at_k(ranks, k) for ranks in climb.ranks]
    return {
        "epsilon": epsilons,
        "recall": recalls,
        "ranks": np.stack(climb.ranks),
        "losses": np.stack(climb.losses),
    }


class _Climb:
    """The strongest result for each image so far, carried from epsilon to epsilon."""

    def __init__(self, encoded, attack, objective, largest):
        self.encoded, self.objective, self.largest = encoded, objective, largest
        # Built once for the largest epsilon, which `epsilon_scale` shrinks: an attack for each
        # epsilon would be compiled anew.
        self.attack = type(attack).from_config({**attack.get_config(), "epsilon": largest})
        searched = encoded.searched(_DIRECTION)
        encoder = make_encoder(encoded, "images", self.attack, objective, searched)
        self.attacker = QueryAttacker(encoded, encoder, searched.relevance)
        # The first attack draws its start itself.
        self.starts, self.found = None, encoded.clean.images
        self.best = self._losses(self.found)
        self.ranks, self.losses = [], []

    def raise_to(self, epsilon):
        self.attack.epsilon_scale.assign(epsilon / self.largest)
        run = self.attacker.run(starts=self.starts)
        losses = self._losses(run["embeddings"])
        images = run["adversarial_images"]
        # The attack keeps what is better, but for the last digit of a projection.
        better = losses > self.best
        if self.starts is not None:
            images = np.where(better[:, None, None, None], images, self.starts)
        self.starts = images
        self.found = np.where(better[:, None], run["embeddings"], self.found)
        self.best = np.where(better, losses, self.best)

    def record(self):
        self.losses.append(self.best)
        self.ranks.append(self.encoded.rank(_DIRECTION, queries=self.found).ranks)

    def _losses(self, embeddings):
        return query_losses(self.encoded, _DIRECTION, embeddings, self.objective)


def _check_epsilons(epsilons):
    epsilons = sorted(float(epsilon) for epsilon in epsilons)
    if not epsilons or not 0 <= epsilons[0] or not 0 < epsilons[-1] < float("inf"):
        raise ValueError(
            "`epsilons` must be finite, none negative, and at least one positive. Received: "
            f"epsilons={epsilons}. Write e.g. [0, 2 / 255, 4 / 255]."
        )
    return epsilons


def _check_attack(attack):
    check_attack("attack", attack, "images", batch_keys=QUERY_KEYS)
    takes_start = "start" in inspect.signature(attack.call).parameters
    if not takes_start or not getattr(attack, "keep_best", True):
        raise ValueError(
            "`attack` must take a `start` and keep the best of each example. Received: "
            f"{type(attack).__name__}. Use APGD, or PGD with `keep_best=True`."
        )
