"""Low-rank adaptation of a tower."""

import keras

from rocmr_keras.fine_tuning import blocks
from rocmr_keras.fine_tuning.freezing import check_no_lora

_ADAPTED = (keras.layers.Dense, keras.layers.EinsumDense)


def enable_lora(tower, rank, alpha=None):
    """Freezes a tower and gives its dense layers trainable low-rank updates.

    Uses Keras's own `enable_lora` on every `Dense` and `EinsumDense` layer, so also on
    those inside of `MultiHeadAttention` and of KerasHub's transformers; nothing else of
    the tower trains. The output does not change until a step is taken. Call it before
    `compile`, and after `freeze`.

    Saving merges the updates into the kernels, so a saved model loads as an ordinary one.
    What does not work: convolutions and token tables are not adapted; in a tower whose
    config holds its layers (a functional model) Keras loads the updates switched on and
    all zero, from where they cannot train, so build the tower anew to go on after
    loading. `rocmr_keras.callbacks.Checkpoint` resumes such a run.

    Args:
        tower: Keras layer or model, built.
        rank: Integer, at least 1, the rank of each update.
        alpha: Float, an update is scaled by `alpha / rank`. Defaults to `None`: `rank`.

    Returns:
        List of the layers that were adapted.

    Raises:
        ValueError: If the rank is no positive integer, nothing can be adapted, or LoRA is
            enabled already.

    Example:

    ```python
    model.freeze(texts="all")
    rocmr_keras.fine_tuning.enable_lora(model.image_encoder, rank=8)
    ```

    Reference:
        - [Hu et al., 2021](https://arxiv.org/abs/2106.09685)
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ValueError(
            f"`rank` must be an integer of at least 1. Received: rank={rank!r}. 4 to 16 are usual."
        )
    check_no_lora(tower)
    layers = [tower, *blocks.sublayers(tower, recursive=True)]
    # BERT's pooler under another pooling: its updates would never get a gradient.
    unused = {id(layer) for layer in getattr(tower, "unused_layers", ())}
    adapted = [
        layer
        for layer in layers
        if isinstance(layer, _ADAPTED) and layer.weights and id(layer) not in unused
    ]
    if not adapted:
        raise ValueError(
            "LoRA adapts Dense and EinsumDense layers. Received: "
            f"{tower.name}, which has none. Train its last blocks with `freeze` instead."
        )
    _freeze_around(tower, layers, adapted)
    for layer in adapted:
        layer.enable_lora(rank, lora_alpha=alpha)
    return adapted


def _freeze_around(tower, layers, adapted):
    """Freezes all weights, but no layer that holds an adapted one: its flag is read too."""
    blocks.set_trainable(tower, True)
    for layer in layers:
        if not blocks.sublayers(layer) and not any(layer is other for other in adapted):
            layer.trainable = False
    for weight in tower.weights:
        weight.trainable = False
