import keras

from rocmr_keras.attacks.joint.joint_attack import JointAttack
from rocmr_keras.attacks.objectives import embedding_kl
from rocmr_keras.attacks.objectives import positives_kl


@keras.saving.register_keras_serializable(package="rocmr_keras")
class CoAttack(JointAttack):
    """Co-Attack: captions first, then each image away from itself and from one caption.

    An image maximises the divergence of its embedding from the clean one, plus
    `text_weight` times that from the attacked caption it is paired with, the first of its
    captions: the published attack works on single pairs, and to see the whole set is what
    `SetGuidance` adds. Embeddings are compared as distributions, after a softmax. Captions
    are attacked before, towards the same sum against the clean images. (The published ones
    maximise its first part alone, whose gradient is zero where a search of substitutions
    starts.)

    Args:
        image_attack: An `ImageAttack`, with a random start: the
            divergence from the clean embedding is flat there.
        text_attack: A `TokenAttack`.
        text_weight: Float. Defaults to `3.0`.

    Reference:
        Zhang et al., "Towards Adversarial Attack on Vision-Language Pre-training Models",
        2022 (arXiv:2206.09391).
    """

    def __init__(self, image_attack, text_attack, text_weight=3.0, **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.text_weight = text_weight

    def search(self, groups):
        def objective(embeddings, target):
            away = embedding_kl(embeddings, target)
            apart = positives_kl(embeddings, target)
            return away + self.text_weight * apart

        images = groups.clean()["images"]
        token_ids = groups.attack_texts(self.text_attack, objective, images)
        images = groups.attack_images(self.image_attack, objective, token_ids, paired=True)
        return {"images": images, "token_ids": token_ids}

    def get_config(self):
        return {
            **super().get_config(),
            "text_weight": self.text_weight,
        }
