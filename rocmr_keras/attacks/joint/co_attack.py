import keras

from rocmr_keras.attacks.joint.joint_attack import JointAttack
from rocmr_keras.attacks.objectives import embedding_kl
from rocmr_keras.attacks.objectives import positives_kl


@keras.saving.register_keras_serializable(package="rocmr_keras")
class CoAttack(JointAttack):
    """Co-Attack: captions first, then each image away from itself and from its caption.

    An image is attacked to maximise the divergence of its embedding from the clean one,
    plus `text_weight` times that from the first of its attacked captions. Only the first,
    since the published attack works on single pairs; `SetGuidance` uses all captions.
    Embeddings are turned into distributions by a softmax. Captions are attacked before
    that, on the same sum with the clean images. The paper attacks them on the first
    divergence alone, but its gradient is zero at the clean caption, where a search for
    substitutions starts.

    Args:
        image_attack: An `ImageAttack` with a random start, since the divergence has no
            gradient at the clean image.
        text_attack: A `TokenAttack`.
        text_weight: Float. Defaults to `3.0`.

    Reference:
        - [Zhang et al., 2022](https://arxiv.org/abs/2206.09391)
    """

    def __init__(self, image_attack, text_attack, text_weight=3.0, **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.text_weight = text_weight

    def search(self, groups):
        images = groups.clean()["images"]
        token_ids = groups.attack_texts(self.text_attack, self.divergence, images)
        images = groups.attack_images(self.image_attack, self.divergence, token_ids, paired=True)
        return {"images": images, "token_ids": token_ids}

    def divergence(self, embeddings, target):
        """The objective, see `rocmr_keras.attacks.objectives`."""
        away = embedding_kl(embeddings, target)
        return away + self.text_weight * positives_kl(embeddings, target)

    def get_config(self):
        config = super().get_config()
        config.update({"text_weight": self.text_weight})
        return config
