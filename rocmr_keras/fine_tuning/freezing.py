"""Which weights of a dual encoder train."""

import keras

from rocmr_keras.fine_tuning import blocks as blocks_module
from rocmr_keras.fine_tuning.blocks import set_trainable


def freeze(model, choices):
    """Freezes parts of a dual encoder as its `freeze` says, and adds that to `model.frozen`."""
    if "images" in choices:
        _freeze_side(model.image_encoder, model.image_projection, "images", choices["images"])
    if "texts" in choices:
        _freeze_side(model.text_encoder, model.text_projection, "texts", choices["texts"])
    if "similarity" in choices:
        set_trainable(model.similarity_head, not choices["similarity"])
    model.frozen |= choices
    # Last: a side that is thawed anew has its batch normalisation thawed too.
    if model.frozen.get("batch_norm"):
        for tower in (model.image_encoder, model.text_encoder):
            for layer in blocks_module.sublayers(tower, recursive=True):
                if isinstance(layer, keras.layers.BatchNormalization):
                    set_trainable(layer, False)


def freeze_tower(tower, trainable_blocks=0):
    """Freezes a tower up to its last blocks; what follows them goes on training.

    Batch normalisation in a frozen part keeps and uses its moving statistics. See
    `rocmr_keras.fine_tuning.ordered_blocks` for what a block is.

    Args:
        tower: Keras layer or model, built.
        trainable_blocks: Integer, how many of the last blocks train. With 0 only what
            comes after the blocks does. Defaults to 0.

    Raises:
        ValueError: If the tower has fewer blocks, or LoRA is in use.
    """
    parts, blocks = blocks_module.ordered_blocks(tower)
    if not 0 <= trainable_blocks <= len(blocks):
        raise ValueError(
            "A tower cannot train more blocks than it has. Received: "
            f"trainable_blocks={trainable_blocks}, a tower of {len(blocks)}. "
            "Pass a smaller number, or do not freeze it."
        )
    check_no_lora(tower)
    set_trainable(tower, True)
    last = blocks[-trainable_blocks] if trainable_blocks else blocks[-1]
    first = [part is last for part in parts].index(True) + (not trainable_blocks)
    for part in parts[:first]:
        set_trainable(part, False)
    inside = {id(weight) for part in parts for weight in part.weights}
    for weight in tower.weights:
        # A class token of the tower itself, say: it comes before all blocks.
        if id(weight) not in inside:
            weight.trainable = False


def check_no_lora(tower):
    """Refuses a tower with LoRA: unfreezing it would train the adapted kernels."""
    layers = [tower, *blocks_module.sublayers(tower, recursive=True)]
    if any(getattr(layer, "lora_enabled", False) for layer in layers):
        raise ValueError(
            "LoRA decides itself what trains, and is enabled once. Received: "
            f"{tower.name}, which has LoRA already. Freeze first, and enable LoRA last."
        )


def _freeze_side(tower, projection, name, choice):
    if choice in ("all", "tower"):
        set_trainable(tower, False)
    elif choice == "none":
        check_no_lora(tower)
        set_trainable(tower, True)
    elif isinstance(choice, int) and not isinstance(choice, bool):
        freeze_tower(tower, choice)
    else:
        raise ValueError(
            f"`{name}` must be 'all', 'tower', 'none', a number of blocks or None. "
            f"Received: {name}={choice!r}. 'tower' leaves the projection trainable; 2 "
            "trains the last two blocks and what follows them."
        )
    if projection is not None:
        set_trainable(projection, choice != "all")
