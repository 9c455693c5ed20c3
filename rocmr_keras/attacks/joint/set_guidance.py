import keras

from rocmr_keras.attacks.joint.joint_attack import JointAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class SetGuidance(JointAttack):
    """SGA, set-level guidance: images away from all of their captions, at several scales.

    Captions are attacked against the clean images, then images, resized to several scales,
    against all of their attacked captions, then the clean captions once more against the
    attacked images. Each step lowers the similarity of an item to its matches.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        scales: Tuple of floats, the sizes of the image whose losses are summed.
            Defaults to `(0.5, 0.75, 1.0, 1.25, 1.5)`.

    Reference:
        - [Lu et al., 2023](https://arxiv.org/abs/2307.14061)
    """

    def __init__(self, image_attack, text_attack, scales=(0.5, 0.75, 1.0, 1.25, 1.5), **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.scales = tuple(scales)

    def search(self, groups):
        images = groups.clean()["images"]
        token_ids = groups.attack_texts(self.text_attack, "similarity", images)
        images = groups.attack_images(
            self.image_attack, "similarity", token_ids, scales=self.scales
        )
        token_ids = groups.attack_texts(self.text_attack, "similarity", images)
        return {"images": images, "token_ids": token_ids}

    def get_config(self):
        config = super().get_config()
        config.update({"scales": self.scales})
        return config
