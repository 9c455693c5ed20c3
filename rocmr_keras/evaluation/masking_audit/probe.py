import copy

from rocmr_keras.attacks import PGD
from rocmr_keras.evaluation.encoding.losses import query_losses
from rocmr_keras.evaluation.encoding.queries import QueryAttacker
from rocmr_keras.evaluation.encoding.queries import make_encoder

DIRECTION = "image_to_text"


class Probe:
    """Attacks the images of a split as queries, and measures what was found.

    Args:
        encoded: An `EncodedSplit`.
        budget: An `AuditBudget`.
        source: Another model for attacks that transfer, or `None`. Defaults to `None`.

    Attributes:
        clean_loss: Float, the mean loss without an attack.
        white_box: Dict from a name of an epsilon (`"half"`, `"full"`, `"double"`, `"huge"`)
            to a `Found`.
        gain: Float, what the white-box attack adds to the mean loss.
    """

    def __init__(self, encoded, budget, source=None):
        self.encoded, self.budget, self.source = encoded, budget, source
        self.clean_loss = self.loss(encoded.clean.images)
        epsilons = {
            "half": budget.epsilon / 2,
            "full": budget.epsilon,
            "double": min(2 * budget.epsilon, 1.0),
            "huge": 1.0,
        }
        # One attack for all: it is compiled once, and its draws go on from one to the next.
        found = self.attack(self.pgd(), list(epsilons.values()))
        self.white_box = dict(zip(epsilons, found))
        self.gain = self.white_box["full"].loss - self.clean_loss

    def pgd(self, **options):
        """The white-box attack at the largest epsilon there is; `attack` scales it."""
        settings = {"num_steps": self.budget.num_steps, "seed": self.budget.seed}
        return PGD(1.0, **{**settings, **options})

    def attack(self, attack, epsilons=None, objective=None, batch_size=None):
        """Runs an attack that was made with an epsilon of 1, in one trace for all epsilons.

        Args:
            attack: An attack on images, of epsilon 1.
            epsilons: List of floats, or `None` for that of the budget. Defaults to `None`.
            objective: String or callable, or `None` for that of the budget. Defaults to `None`.
            batch_size: Integer, or `None` for that of the split. Defaults to `None`.

        Returns:
            List of `Found`, one for each epsilon.
        """
        encoded = self.encoded if batch_size is None else self.encoded.batched(batch_size)
        objective = objective or self.budget.objective
        searched = encoded.searched(DIRECTION)
        encoder = make_encoder(encoded, "images", attack, objective, searched)
        attacker = QueryAttacker(encoded, encoder, searched.relevance)
        found = []
        for epsilon in epsilons or [self.budget.epsilon]:
            attack.epsilon_scale.assign(epsilon)
            # Else the share would be that of all epsilons so far.
            attack.reset_counts()
            embeddings = attacker.run(keep_inputs=False)["embeddings"]
            found.append(Found(embeddings, self.losses(embeddings), attack.stalled_share))
        return found

    def loss(self, embeddings, objective=None):
        """The mean loss of embeddings of all images."""
        return float(self.losses(embeddings, objective).mean())

    def losses(self, embeddings, objective=None):
        """The loss of each image's embedding."""
        objective = objective or self.budget.objective
        return query_losses(self.encoded, DIRECTION, embeddings, objective)

    def recall_at_1(self, embeddings):
        ranks = self.encoded.rank(DIRECTION, queries=embeddings).ranks
        return float((ranks == 1).mean())

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
        embeddings: Float array `(images, dim)`.
        losses: Float array `(images,)`.
        stalled_share: Float, the share of gradients that were zero or not finite.
    """

    def __init__(self, embeddings, losses, stalled_share):
        self.embeddings = embeddings
        self.losses = losses
        self.stalled_share = stalled_share

    @property
    def loss(self):
        """Float, the mean loss."""
        return float(self.losses.mean())
