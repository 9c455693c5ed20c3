"""How a dual encoder comes from ready-made models, and goes back to them."""

from rocmr_keras.models.hub import two_towers


class Presets:
    """The constructors and savers of a `DualEncoder` that know KerasHub."""

    @classmethod
    def from_backbone(cls, backbone, preprocessor=None, image_converter=None, **kwargs):
        """Makes a dual encoder of a two-tower model of KerasHub.

        With its own projections, scale and bias; embeddings and logits are those of
        the model's own forward pass, but safe where an embedding is zero. The two
        encoders are shared, not copied; projections, scale and bias are copied.

        Args:
            backbone: A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`.
            preprocessor: As for the class, e.g. a `rocmr_keras.data.HubPreprocessor`.
                Without one no token is protected from attack. Defaults to `None`.
            image_converter: A `keras_hub.layers.ImageConverter`, whose scale and
                offset become the tower's normalisation. Defaults to `None`: mean and
                deviation that the family was published with.
            **kwargs: `name`, `trainable`, `dtype` of a Keras model.

        Returns:
            A `DualEncoder`.

        Raises:
            ValueError: If `backbone` is no two-tower model.

        Example:

        ```python
        backbone = keras_hub.models.Backbone.from_preset("clip_vit_base_patch32")
        model = rocmr_keras.models.DualEncoder.from_backbone(backbone)
        ```
        """
        arguments, log_scale, bias = two_towers.take_apart(backbone, image_converter)
        model = cls(preprocessor=preprocessor, **arguments, **kwargs)
        model.similarity_head.logit_scale.assign(log_scale)
        if bias is not None:
            model.similarity_head.logit_bias.assign(bias)
        return model

    def to_backbone(self):
        """Puts the KerasHub model together again, e.g. after robust fine-tuning.

        Returns:
            A `keras_hub.models.CLIPBackbone` or `SigLIPBackbone`, which shares the two
            encoders with this model.

        Raises:
            ValueError: If this model did not come from one.
        """
        return two_towers.put_together(self.image_encoder, self.text_encoder, self.similarity_head)
