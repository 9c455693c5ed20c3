import keras

from rocmr_keras.attacks.joint.joint_attack import JointAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Sequential(JointAttack):
    """Attacks the captions first, then the images against the attacked captions.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        objective: String or callable that both maximise. Defaults to `"contrastive"`.
    """

    def __init__(self, image_attack, text_attack, objective="contrastive", **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.objective = objective

    def search(self, groups):
        images = groups.clean()["images"]
        token_ids = groups.attack_texts(self.text_attack, self.objective, images)
        images = groups.attack_images(self.image_attack, self.objective, token_ids)
        return {"images": images, "token_ids": token_ids}

    def get_config(self):
        config = super().get_config()
        config.update({"objective": self.objective})
        return config
