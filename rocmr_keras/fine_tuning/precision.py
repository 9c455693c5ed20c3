"""The precision of a tower that is there already."""

import keras

from rocmr_keras.fine_tuning.blocks import ordered_blocks
from rocmr_keras.fine_tuning.blocks import sublayers


def set_precision(tower, policy):
    """Changes the precision in which the blocks of a tower compute.

    A loaded model keeps the policy it was saved with, whatever
    `keras.config.set_dtype_policy` says. The weights stay in float32, and so do embeddings,
    pooling and heads: what comes before and after the blocks.

    Args:
        tower: Keras layer or model, built.
        policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.

    Returns:
        List of the blocks.

    Raises:
        ValueError: If the policy would change the dtype of weights.

    Example:

    ```python
    rocmr_keras.fine_tuning.set_precision(model.image_encoder, "mixed_bfloat16")
    ```
    """
    policy = keras.dtype_policies.get(policy)
    if policy.variable_dtype != "float32":
        raise ValueError(
            "The weights of a tower stay in float32. Received: "
            f"policy={policy.name!r}. Use 'mixed_bfloat16' or 'mixed_float16'."
        )
    _, blocks = ordered_blocks(tower)
    for block in blocks:
        for layer in (block, *sublayers(block, recursive=True)):
            layer.dtype_policy = policy
    return blocks
