"""Which layers of a tower compute in integers: a file of the model must say so."""

import warnings

from rocmr_keras.fine_tuning.blocks import sublayers


def quantized_layers(tower):
    """Lists what `quantize` has changed.

    Args:
        tower: Keras layer or model, built.

    Returns:
        Dict of layer path to mode, such as `"int8"`.
    """
    modes = {
        layer.path: getattr(layer, "quantization_mode", None)
        for layer in sublayers(tower, recursive=True)
    }
    return {path: mode for path, mode in modes.items() if mode}


def quantize_layers(tower, modes):
    """Changes the layers of a fresh tower as those of another one were.

    Their weights are what fresh ones round to, until a file is read into them.

    Args:
        tower: Keras layer or model, built.
        modes: Dict, what `quantized_layers` gave.
    """
    with warnings.catch_warnings():
        # Keras tells of each layer that cannot be quantized.
        warnings.simplefilter("ignore")
        for layer in sublayers(tower, recursive=True):
            is_new = layer.path in modes and not getattr(layer, "quantization_mode", None)
            if is_new and not sublayers(layer):
                layer.quantize(modes[layer.path])
