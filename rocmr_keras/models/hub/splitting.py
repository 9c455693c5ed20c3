"""Splits a text backbone behind its token embedding, without rewriting it."""

import keras
from keras import ops

from rocmr_keras.layers.token_embedding import look_up
from rocmr_keras.models.hub import features

_NAMES = ("token_embedding", "embedding", "embeddings")


class SplitBackbone:
    """A text backbone in two: its token table, and all the rest.

    The rest is a second functional model over the same layers, which begins behind
    the embedding layer of the first. Where that layer adds positions too, they are
    added here, so that the cut is always between table and positions. Lookups that
    repeat a row (segments) go through a dense gradient, see `look_up`.

    Not a layer: it holds no weight that the backbone does not hold.

    Args:
        backbone: A functional Keras model with an input `token_ids`.
        pooling: Name of the pooling, says which output is meant, or `None`.

    Raises:
        ValueError: If no embedding can be split off.
    """

    def __init__(self, backbone, pooling=None):
        self.layer = _embedding_layer(backbone)
        self.inputs = {"embeddings": self.layer.output}
        self.segment_layer = _segment_layer(backbone)
        for name, tensor in backbone.input.items():
            if name == "segment_ids" and self.segment_layer is not None:
                self.inputs["segments"] = self.segment_layer.output
            elif name != "token_ids":
                self.inputs[name] = tensor
        self.output = features.main_output(backbone, pooling)
        # A list: in a dict Keras wants keys that are the names of the tensors.
        self.rest = keras.Model(list(self.inputs.values()), self.output)
        self.max_length = getattr(backbone, "max_sequence_length", None)
        # SigLIP adds all its positions at once and pools the last.
        self.has_one_length = hasattr(self.layer, "position_ids")

    @property
    def table(self):
        """The weight `(vocabulary_size, D)`; with LoRA the sum of base and update."""
        return getattr(self.layer, "token_embedding", self.layer).embeddings

    def unused_layers(self, backbone):
        """Lists layers with weights but without part in the output: an unused pooler."""
        used = {id(layer) for layer in (*self.rest.layers, self.layer, self.segment_layer)}
        return [layer for layer in backbone.layers if layer.weights and id(layer) not in used]

    def encode(self, embeddings, padding_mask, training):
        """Runs the rest on `(B, L, D)` rows of the table and a `(B, L)` mask."""
        self._check_length(embeddings)
        inputs = {"embeddings": self._add_positions(embeddings)}
        if "padding_mask" in self.inputs:
            inputs["padding_mask"] = ops.cast(padding_mask, "int32")
        if "segments" in self.inputs:
            first = ops.zeros(ops.shape(embeddings)[:2], "int32")
            inputs["segments"] = look_up(self.segment_layer.embeddings, first)
        return self.rest([inputs[name] for name in self.inputs], training=training)

    def _add_positions(self, embeddings):
        positions = getattr(self.layer, "position_embedding", None)
        if positions is None:
            return embeddings
        if self.has_one_length:
            return embeddings + positions(self.layer.position_ids)
        return embeddings + positions(embeddings)

    def _check_length(self, embeddings):
        most, length = self.max_length, embeddings.shape[1]
        if None in (most, length):
            return
        if length > most or (self.has_one_length and length != most):
            raise ValueError(
                f"The backbone takes {'' if self.has_one_length else 'at most '}{most} tokens. "
                f"Received: embeddings of shape {tuple(embeddings.shape)}. Set the "
                "preprocessor's `sequence_length`."
            )


def _embedding_layer(backbone):
    inputs = getattr(backbone, "input", None)
    own = {id(layer) for layer in getattr(backbone, "layers", ())}
    for name in _NAMES:
        layer = getattr(backbone, name, None)
        # RoBERTa's token table sits inside the layer that adds positions.
        if layer is not None and id(layer) in own and isinstance(inputs, dict):
            return layer
    raise ValueError(
        "`backbone` must be a functional text model with an input `token_ids` and a layer "
        f"{', '.join(_NAMES)} that can be split off. Received: backbone={backbone}. "
        "KerasHub's text backbones are; for others write a tower of your own."
    )


def _segment_layer(backbone):
    layer = getattr(backbone, "segment_embedding", None)
    return layer if isinstance(layer, keras.layers.Embedding) else None
