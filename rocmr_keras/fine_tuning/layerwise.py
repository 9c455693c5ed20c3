"""Learning rates that fall from the heads of a dual encoder to its first layers."""

from rocmr_keras.fine_tuning.blocks import ordered_blocks


def layerwise_multipliers(model, decay):
    """Returns a multiplier of the learning rate for each trainable weight.

    Heads, and what follows the last block of a tower, have 1; the last block `decay`, the
    one before it `decay**2`, and so on down to what comes before the first block. For
    `rocmr_keras.fine_tuning.LayerwiseAdamW`. Towers that are one long row of layers have as
    many blocks as layers: choose `decay` near 1 there. Freeze and enable LoRA first.

    Args:
        model: A `DualEncoder`.
        decay: Float in `(0, 1]`. 0.65 to 0.9 are usual for transformers.

    Returns:
        List of floats, in the order of `model.trainable_variables`.

    Raises:
        ValueError: If `decay` is outside of `(0, 1]`.

    Reference:
        - [Howard and Ruder, 2018](https://arxiv.org/abs/1801.06146)
        - [Bao et al., 2022](https://arxiv.org/abs/2106.08254), BEiT
    """
    if not 0 < decay <= 1:
        raise ValueError(
            f"`decay` must be above 0 and at most 1. Received: decay={decay!r}. "
            "1.0 gives all layers the same rate; 0.75 is a good start."
        )
    powers = {}
    for tower in (model.image_encoder, model.text_encoder):
        powers.update(_powers(tower))
    return [decay ** powers.get(id(weight), 0) for weight in model.trainable_variables]


def _powers(tower):
    """Returns the power of the decay by the id of a weight."""
    parts, blocks = ordered_blocks(tower)
    # Weights of the tower itself, such as a class token, come before all blocks.
    powers = {id(weight): len(blocks) + 1 for weight in tower.weights}
    begun = 0
    for index, part in enumerate(parts):
        begun += any(part is block for block in blocks)
        ended = not any(block is later for later in parts[index:] for block in blocks)
        power = 0 if ended else len(blocks) + 1 - begun
        powers.update({id(weight): power for weight in part.weights})
    return powers
