import copy
import functools

import numpy as np

from rocmr_keras.attacks import PGD
from rocmr_keras.evaluation.encoding.losses import query_losses
from rocmr_keras.evaluation.encoding.queries import QueryAttacker
from rocmr_keras.evaluation.encoding.queries import make_encoder

DIRECTION = "image_to_text"


class Probe:
    """Attacks the images of a split as queries, and measures what was found.

    What several checks need is found when the first of them asks.

    Args:
        encoded: An `EncodedSplit`.
        budget: An `AuditBudget`.
        source: Another model for attacks that transfer, or `None`. Defaults to `None`.
    """

    def __init__(self, encoded, budget, source=None):
        self.encoded, self.budget, self.source = encoded, budget, source

    @functools.cached_property
    def white_box(self):
        """Dict from a name of an epsilon (`"half"`, `"full"`, `"double"`, `"huge"`) to `Found`."""
        epsilon = self.budget.epsilon
        epsilons = {
            "half": epsilon / 2,
            "full": epsilon,
            "double": min(2 * epsilon, 1.0),
            "huge": 1.0,
        }
        # One attack for all: it is compiled once, and its draws go on from one to the next.
        return dict(zip(epsilons, self.attack(self.pgd(), list(epsilons.values()))))

    @functools.cached_property
    def by_margin(self):
        """The same of PGD on the margin, `"full"` and `"huge"`: no temperature can weaken it."""
        epsilons = [self.budget.epsilon, 1.0]
        return dict(zip(("full", "huge"), self.attack(self.pgd(), epsilons, objective="margin")))

    @functools.cached_property
    def strongest(self):
        """Float array `(images,)`, the margin under the better of both white-box attacks."""
        return np.maximum(self.white_box["full"].margins, self.by_margin["full"].margins)

    @functools.cached_property
    def clean_loss(self):
        """Float, the mean loss without an attack."""
        return float(self.losses(self.encoded.clean.images).mean())

    @functools.cached_property
    def clean_margin(self):
        """Float, the mean margin without an attack."""
        return float(self.losses(self.encoded.clean.images, "margin").mean())

    @property
    def gain(self):
        """Float, what the white-box attack adds to the mean loss."""
        return self.white_box["full"].loss - self.clean_loss

    def pgd(self, **options):
        """The white-box attack at the largest epsilon there is; `attack` scales it."""
        settings = {"num_steps": self.budget.num_steps, "seed": self.budget.seed}
        return PGD(1.0, **{**settings, **options})

    def attack(self, attack, epsilons=None, objective=None):
        """Runs an attack that was made with an epsilon of 1, in one trace for all epsilons.

        Args:
            attack: An attack on images, of epsilon 1.
            epsilons: List of floats, or `None` for that of the budget. Defaults to `None`.
            objective: String or callable, or `None` for that of the budget. Defaults to `None`.

        Returns:
            List of `Found`, one for each epsilon.
        """
        searched = self.encoded.searched(DIRECTION)
        objective = objective or self.budget.objective
        encoder = make_encoder(self.encoded, "images", attack, objective, searched)
        attacker = QueryAttacker(self.encoded, encoder, searched.relevance)
        found = []
        for epsilon in epsilons or [self.budget.epsilon]:
            attack.epsilon_scale.assign(epsilon)
            # Else the share would be that of all epsilons so far.
            attack.reset_counts()
            embeddings = attacker.run(keep_inputs=False)["embeddings"]
            found.append(Found(self, embeddings, attack.stalled_share))
        return found

    def losses(self, embeddings, objective=None):
        """The loss of each image's embedding, by default under the objective of the budget."""
        objective = objective or self.budget.objective
        return query_losses(self.encoded, DIRECTION, embeddings, objective)

    def is_right(self, embeddings):
        """Boolean array `(images,)`, whether a right item comes first."""
        return self.encoded.rank(DIRECTION, queries=embeddings).ranks == 1

    def at_temperature(self, factor):
        """Returns the objective of a model whose inverse temperature is `factor` times its own."""

        def rescaled(embeddings, target):
            # A copy: the caller's target keeps the temperature of the model.
            target = copy.copy(target)
            target.scale = target.scale * factor
            return self.budget.objective(embeddings, target)

        return rescaled


class Found:
    """What an attack found.

    Args:
        probe: A `Probe`.
        embeddings: Float array `(images, dim)`.
        stalled_share: Float, the share of gradients that were zero or not finite.

    Attributes:
        losses: Float array `(images,)`, under the objective of the budget.
        loss: Float, their mean.
        margins: Float array `(images,)`, the margins.
    """

    def __init__(self, probe, embeddings, stalled_share):
        self.embeddings = embeddings
        self.stalled_share = stalled_share
        self.losses = probe.losses(embeddings)
        self.loss = float(self.losses.mean())
        self.margins = probe.losses(embeddings, "margin")
