"""What Keras's own `export` needs to know of a dual encoder."""

import keras


def check_format(format):
    """Refuses what Keras cannot write of a model with several inputs.

    Args:
        format: String, as for `keras.Model.export`.

    Raises:
        ValueError: If it is no SavedModel, or the backend is PyTorch.
    """
    if format != "tf_saved_model":
        raise ValueError(
            f"`format` must be 'tf_saved_model'. Received: format={format!r}. For the image tower "
            "alone call `rocmr_keras.export.export_image_tower(model, path, format)`."
        )
    if keras.config.backend() == "torch":
        raise ValueError(
            "Keras writes a SavedModel of several inputs from TensorFlow or JAX. Received: the "
            "backend 'torch'. Call `rocmr_keras.export.export_saved_model(model, path)`, which "
            "works on all, or load the model's file with KERAS_BACKEND=tensorflow."
        )


def input_signature(preprocessor):
    """Describes the inputs of `DualEncoder.call`.

    Args:
        preprocessor: Object with `image_size` and `sequence_length`, or `None`: of any.

    Returns:
        A list of one dict of `keras.InputSpec`: `images`, `token_ids`, `padding_mask`.
    """
    size = getattr(preprocessor, "image_size", (None, None))
    length = getattr(preprocessor, "sequence_length", None)
    shapes = {
        "images": ((None, *size, 3), "float32"),
        "token_ids": ((None, length), "int32"),
        "padding_mask": ((None, length), "bool"),
    }
    return [
        {
            name: keras.InputSpec(shape=shape, dtype=dtype, name=name)
            for name, (shape, dtype) in shapes.items()
        }
    ]
