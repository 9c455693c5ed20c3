import inspect

import numpy as np

from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks.checks import QUERY_KEYS
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.evaluation.encoded_split import Bench
from rocmr_keras.evaluation.encoding.queries import run_queries
from rocmr_keras.evaluation.encoding.query_losses import query_losses
from rocmr_keras.metrics.ranks import recall_at_k

_DIRECTION = "image_to_text"


def epsilon_curve(
    model, split, attack, epsilons, objective="contrastive", k=1, batch_size=64, verbose=1
):
    """Attacks image queries with one budget after the other, each from where the last ended.

    A larger ball holds all that a smaller one has found, so no image is ever attacked less
    with a larger budget: a curve that rises again would be a fault of the attack, and
    cannot come of this. What grows is the objective; recall follows it closely, and
    with `"margin"` to the letter.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        attack: A `PGD` or `APGD`, or another attack on images with an `epsilon` whose
            `call` takes a `start`. Its own epsilon is not used; a `step_size` is that of
            the largest budget and shrinks with it.
        epsilons: List of floats, the budgets in units of the attack's `value_range`; 0 is
            the clean recall.
        objective: Name or callable. Defaults to `"contrastive"`.
        k: Int, the recall is among the first `k`. Defaults to `1`.
        batch_size: Int. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Returns:
        Dict with `epsilon` and `recall`, lists in ascending order of the budget (for
        `rocmr_keras.reports.pictures.recall_against_epsilon`), `ranks`, int array
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
    bench = Bench(model, split, batch_size=batch_size, verbose=verbose)
    climb = _Climb(bench, attack, objective, epsilons[-1])
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
    """What has been found for each image so far: one trace serves all budgets."""

    def __init__(self, bench, attack, objective, largest):
        self.bench, self.objective, self.largest = bench, objective, largest
        clean = bench.clean
        self.attack = type(attack).from_config({**attack.get_config(), "epsilon": largest})
        self.encoder = QueryEncoder(
            bench.model, "images", self.attack, objective, clean.texts, clean.text_ids
        )
        self.starts, self.found = None, clean.images
        self.best = self._losses(clean.images)
        self.ranks, self.losses = [], []

    def raise_to(self, epsilon):
        self.attack.epsilon_scale.assign(epsilon / self.largest)
        run = run_queries(
            self.encoder, self.bench.split, "images", **self.bench.settings, begin=self.starts
        )
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
        self.ranks.append(self.bench.rank(_DIRECTION, queries=self.found).ranks)

    def _losses(self, embeddings):
        clean = self.bench.clean
        relevance = self.bench.relevance(_DIRECTION)
        return query_losses(
            self.bench.model, embeddings, clean.texts, relevance, self.objective, clean.images
        )


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
