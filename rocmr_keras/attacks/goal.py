from rocmr_keras.attacks import objectives


class Goal:
    """What an attack climbs: an objective of embeddings against a target.

    All that an attack on a model needs to know besides the model and the batch.

    Args:
        target: A `rocmr_keras.attacks.Target`, over embeddings of the other side.
        objective: Name or callable, see `rocmr_keras.attacks.objectives.get`.
            Defaults to `"contrastive"`.
        normalize: Bool, whether the objective sees embeddings of length 1; else as the
            tower gives them, for distances to such embeddings. Defaults to `True`.

    Call arguments:
        embeddings: Float tensor `(n * batch, dim)`, `n` stacked copies of the batch.

    Returns:
        Float tensor `(n * batch,)`, the loss of each.

    Attributes:
        encoding: Dict, the options with which a model encodes for it.

    Raises:
        ValueError: If the objective is unknown.
    """

    def __init__(self, target, objective="contrastive", normalize=True):
        self.target = target
        self.objective = objectives.get(objective)
        self.encoding = encoding_options(normalize)

    def __call__(self, embeddings):
        return self.objective(embeddings, self.target)


def encoding_options(normalize, training=False):
    """Asks for `normalize` only where it matters: a user's own model may not know it."""
    return {"training": training} if normalize else {"training": training, "normalize": False}
