import copy

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import objectives
from rocmr_keras.evaluation.encoded_split import Bench
from rocmr_keras.evaluation.encoding.queries import run_queries
from rocmr_keras.evaluation.encoding.query_losses import query_losses

DIRECTION = "image_to_text"


class Probe:
    """Attacks the images of a split as queries, and measures what was found.

    Args:
        model: A `DualEncoder` with a preprocessor, or what has its methods.
        split: A `rocmr_keras.data.Split`.
        epsilon: Float in (0, 1], the budget in the maximum norm.
        objective: Name or callable, what attacks maximise.
        num_steps: Int, gradient steps of the white-box attack.
        num_queries: Int, steps of the gradient-free attack.
        source: Another model, or `None`.
        batch_size: Int.
        seed: Int.

    Attributes:
        bench: `Bench`.
        clean_loss: Float, the mean loss without an attack.
        white_box: Dict from a name of a budget (`"half"`, `"full"`, `"double"`, `"huge"`) to
            a `Found`.
        gain: Float, what the white-box attack adds to the mean loss.
    """

    def __init__(
        self, model, split, epsilon, objective, num_steps, num_queries, source, batch_size, seed
    ):
        self.model, self.split, self.source = model, split, source
        self.epsilon, self.seed = epsilon, seed
        self.num_steps, self.num_queries = num_steps, num_queries
        self.objective = objectives.get(objective)
        self.bench = Bench(model, split, batch_size=batch_size, verbose=0)
        self.clean_loss = self.loss(self.bench.clean.images)
        budgets = {
            "half": epsilon / 2,
            "full": epsilon,
            "double": min(2 * epsilon, 1.0),
            "huge": 1.0,
        }
        found = self.attack(self.pgd(), list(budgets.values()))
        self.white_box = dict(zip(budgets, found))
        self.gain = self.white_box["full"].loss - self.clean_loss

    def pgd(self, **options):
        """The white-box attack at the largest budget there is; `attack` scales it."""
        return PGD(1.0, **{"num_steps": self.num_steps, "seed": self.seed, **options})

    def attack(self, attack, epsilons=None, objective=None, batch_size=None):
        """Runs an attack that was made with an epsilon of 1, in one trace for all budgets.

        Returns:
            List of `Found`, one for each of `epsilons`, by default the budget of the audit.
        """
        clean = self.bench.clean
        objective = objective or self.objective
        encoder = QueryEncoder(self.model, "images", attack, objective, clean.texts, clean.text_ids)
        found = []
        for epsilon in epsilons or [self.epsilon]:
            attack.epsilon_scale.assign(epsilon)
            attack.reset_counts()
            size = batch_size or self.bench.settings["batch_size"]
            run = run_queries(encoder, self.split, "images", size, verbose=0)
            embeddings = run["embeddings"]
            found.append(Found(embeddings, self.losses(embeddings), attack.stalled_share))
        return found

    def loss(self, embeddings, objective=None):
        """The mean loss of embeddings of all images."""
        return float(self.losses(embeddings, objective).mean())

    def losses(self, embeddings, objective=None):
        """The loss of each image's embedding."""
        clean = self.bench.clean
        return query_losses(
            self.model,
            embeddings,
            clean.texts,
            self.bench.relevance(DIRECTION),
            objective or self.objective,
            clean.images,
        )

    def recall_at_1(self, embeddings):
        ranks = self.bench.rank(DIRECTION, queries=embeddings).ranks
        return float((ranks == 1).mean())

    def at_temperature(self, factor):
        """Returns the objective of a model whose inverse temperature is `factor` times its own."""

        def rescaled(embeddings, target):
            target = copy.copy(target)
            target.scale = target.scale * factor
            return self.objective(embeddings, target)

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
