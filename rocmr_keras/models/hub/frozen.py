"""What a frozen part of a tower does in training."""


def training_of(layer, training):
    """Whether a layer is in training: never when none of its weights is.

    A frozen backbone with dropout would give noise that nothing learns from.

    Args:
        layer: A Keras layer or model.
        training: Boolean or `None`, the flag of the tower.

    Returns:
        Boolean.
    """
    return bool(training) and len(layer.trainable_weights) > 0
