import keras

from rocmr_keras.attacks.joint.joint_attack import JointAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class SetGuidance(JointAttack):
    """SGA, set-level guidance: away from all captions of the image, at several scales.

    Captions are attacked against the clean images, images against the whole set of the
    attacked captions and at several sizes of the image, then the original captions once
    more against the attacked images. All lower the similarity of what belongs together.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        scales: Tuple of floats, the sizes of the image whose losses are summed.
            Defaults to `(0.5, 0.75, 1.0, 1.25, 1.5)`.

    Reference:
        Lu et al., "Set-level Guidance Attack: Boosting Adversarial Transferability of
        Vision-Language Pre-training Models", 2023 (arXiv:2307.14061).
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
        return {
            **super().get_config(),
            "scales": self.scales,
        }
