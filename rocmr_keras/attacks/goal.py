from rocmr_keras.attacks import objectives


class Goal:
    """What an attack maximises: an objective, and the target it compares embeddings with.

    An attack on a model is given the model, a batch and a goal.

    Args:
        target: A `rocmr_keras.attacks.Target`, over embeddings of the other side.
        objective: String or callable, see `rocmr_keras.attacks.objectives.get`.
            Defaults to `"contrastive"`.
        normalize: Boolean, whether the objective sees embeddings of length 1; else as the
            tower gives them, for distances to such embeddings. Defaults to `True`.
        recorded: A `RecordedEncoding` of the clean images, with the options of `encoding`,
            that an attack may take its first gradient from. Defaults to `None`.

    Call arguments:
        embeddings: Float tensor `(n * batch, dim)`, `n` stacked copies of the batch.

    Returns:
        Float tensor `(n * batch,)`, the loss of each.

    Attributes:
        encoding: Dict, the options with which a model encodes for it.

    Raises:
        ValueError: If the objective is unknown.
    """

    def __init__(self, target, objective="contrastive", normalize=True, recorded=None):
        self.target = target
        self.objective = objectives.get(objective)
        self.recorded = recorded
        self.encoding = encoding_options(normalize)

    def __call__(self, embeddings):
        return self.objective(embeddings, self.target)


def encoding_options(normalize, training=False):
    """Asks for `normalize` only where it matters: a user's own model may not know it."""
    return {"training": training} if normalize else {"training": training, "normalize": False}
