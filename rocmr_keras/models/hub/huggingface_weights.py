"""Weights of CLIP and SigLIP, from the layout of PyTorch to that of KerasHub."""

import numpy as np
from keras import ops


def assign_checkpoint(backbone, family, state):
    """Gives a KerasHub model the weights of a CLIP or SigLIP of transformers.

    Args:
        backbone: A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.
        family: `"clip"` or `"siglip"`.
        state: Dict from names like `"logit_scale"` to arrays.

    Raises:
        ValueError: If a weight is missing or of another shape.
    """
    port = _Port(state)
    vision, text = backbone.vision_encoder, backbone.text_encoder
    port.kernel(vision.embedding.patch_embedding, "vision_model.embeddings.patch_embedding")
    port.table(vision.embedding.position_embedding, "vision_model.embeddings.position_embedding")
    port.table(text.embedding.token_embedding, "text_model.embeddings.token_embedding")
    port.table(text.embedding.position_embedding, "text_model.embeddings.position_embedding")
    count = vision.embedding.num_positions
    vision.embedding.position_ids.assign(ops.arange(count, dtype="int32")[None])
    for encoder, name in ((vision, "vision_model"), (text, "text_model")):
        for index, block in enumerate(encoder.encoder_layers):
            port.block(block, f"{name}.encoder.layers.{index}", family)
    if family == "clip":
        port.variable(vision.embedding.class_embedding, "vision_model.embeddings.class_embedding")
        port.norm(vision.pre_layer_norm, "vision_model.pre_layrnorm")
        port.norm(vision.layer_norm, "vision_model.post_layernorm")
        port.norm(text.layer_norm, "text_model.final_layer_norm")
        port.kernel(backbone.vision_projection, "visual_projection")
        port.kernel(backbone.text_projection, "text_projection")
        port.variable(backbone.clip_head.logit_scale, "logit_scale")
        return
    port.norm(vision.post_layer_norm, "vision_model.post_layernorm")
    port.norm(text.post_layer_norm, "text_model.final_layer_norm")
    port.kernel(text.head, "text_model.head")
    port.pooler(vision.head, "vision_model.head")
    port.variable(backbone.siglip_head.logit_scale, "logit_scale")
    port.variable(backbone.siglip_head.logit_bias, "logit_bias")


class _Port:
    """Carries weights over, from the layout of PyTorch to that of Keras."""

    def __init__(self, state):
        self.state = state

    def take(self, name):
        if name not in self.state:
            raise ValueError(
                f"The state dict must hold every weight of the model. Received: {len(self.state)} "
                f"arrays without {name!r}. Save the whole model: CLIPModel, not a tower of it."
            )
        return self.state[name]

    def variable(self, variable, name):
        variable.assign(self.take(name).reshape(variable.shape))

    def table(self, layer, name):
        layer.set_weights([self.take(f"{name}.weight"), *layer.get_weights()[1:]])

    def norm(self, layer, name):
        layer.set_weights([self.take(f"{name}.weight"), self.take(f"{name}.bias")])

    def kernel(self, layer, name):
        weight = self.take(f"{name}.weight")
        weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        bias = [self.take(f"{name}.bias")] if len(layer.weights) > 1 else []
        layer.set_weights([weight, *bias])

    def attention(self, layer, weights, biases):
        arrays = []
        for array, bias in zip(weights[:3], biases[:3]):
            arrays += [array.T, bias]
        arrays += [weights[3].T, biases[3]]
        shaped = zip(arrays, layer.weights)
        layer.set_weights([array.reshape(weight.shape) for array, weight in shaped])

    def block(self, block, name, family):
        clip = family == "clip"
        parts = [f"{name}.self_attn.{part}_proj" for part in ("q", "k", "v", "out")]
        self.attention(
            block.attention if clip else block.self_attn,
            [self.take(f"{part}.weight") for part in parts],
            [self.take(f"{part}.bias") for part in parts],
        )
        self.norm(block.layer_norm_1 if clip else block.layer_norm1, f"{name}.layer_norm1")
        self.norm(block.layer_norm_2 if clip else block.layer_norm2, f"{name}.layer_norm2")
        self.kernel(block.dense_1 if clip else block.mlp.fc1, f"{name}.mlp.fc1")
        self.kernel(block.dense_2 if clip else block.mlp.fc2, f"{name}.mlp.fc2")

    def pooler(self, head, name):
        """SigLIP's attention pooling, whose three projections are one array."""
        inner = f"{name}.attention"
        weights = np.split(self.take(f"{inner}.in_proj_weight"), 3)
        biases = np.split(self.take(f"{inner}.in_proj_bias"), 3)
        self.attention(
            head.attention,
            [*weights, self.take(f"{inner}.out_proj.weight")],
            [*biases, self.take(f"{inner}.out_proj.bias")],
        )
        self.variable(head.probe, f"{name}.probe")
        self.norm(head.layer_norm, f"{name}.layernorm")
        self.kernel(head.mlp.fc1, f"{name}.mlp.fc1")
        self.kernel(head.mlp.fc2, f"{name}.mlp.fc2")
