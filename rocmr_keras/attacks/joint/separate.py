import keras

from rocmr_keras.attacks.joint.joint_attack import JointAttack


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Separate(JointAttack):
    """Attacks each side against the clean other one.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        objective: String or callable that both maximise. Defaults to `"contrastive"`.
    """

    def __init__(self, image_attack, text_attack, objective="contrastive", **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.objective = objective

    def search(self, groups):
        clean = groups.clean()
        return {
            "images": groups.attack_images(self.image_attack, self.objective, clean["token_ids"]),
            "token_ids": groups.attack_texts(self.text_attack, self.objective, clean["images"]),
        }

    def get_config(self):
        config = super().get_config()
        config.update({"objective": self.objective})
        return config
