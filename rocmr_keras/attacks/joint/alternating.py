import keras

from rocmr_keras.attacks.joint.co_attack import CoAttack
from rocmr_keras.attacks.joint.joint_attack import JointAttack
from rocmr_keras.attacks.joint.separate import Separate
from rocmr_keras.attacks.joint.sequential import Sequential
from rocmr_keras.attacks.joint.set_guidance import SetGuidance


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Alternating(JointAttack):
    """Attacks captions and images in turn, starting from the best of all other schedules.

    For each group it takes the best result of `Separate`, `Sequential`, `CoAttack` and
    `SetGuidance`, then alternates: captions against the images found so far, then images
    against these captions. A group's result is replaced only if its loss rises, so no group is
    attacked less strongly than by any of the four.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        num_rounds: Integer, the rounds after the start. Defaults to `3`.
        objective: String or callable, what the rounds maximise, and whose mean over the images
            and over the captions of a group is its loss. With `MarginsInTurn` each query of the
            group climbs the margin at the first rank that it has not lost yet. Defaults to
            `"margin"`.
    """

    def __init__(self, image_attack, text_attack, num_rounds=3, objective="margin", **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.num_rounds = num_rounds
        self.objective = self.group_objective = objective
        kinds = (Separate, Sequential, CoAttack, SetGuidance)
        self.starts = [kind(image_attack, text_attack) for kind in kinds]

    def search(self, groups):
        best = groups.clean()
        losses = groups.losses(best, self.objective)
        for start in self.starts:
            best, losses = self._better(groups, best, losses, start.search(groups))
        for _ in range(self.num_rounds):
            best, losses = self._round(groups, best, losses)
        return best

    def _round(self, groups, best, losses):
        token_ids = groups.attack_texts(self.text_attack, self.objective, best["images"])
        found = {"images": best["images"], "token_ids": token_ids}
        best, losses = self._better(groups, best, losses, found)
        images = groups.attack_images(self.image_attack, self.objective, best["token_ids"])
        found = {"images": images, "token_ids": best["token_ids"]}
        return self._better(groups, best, losses, found)

    def _better(self, groups, best, losses, found):
        return groups.keep_better(best, losses, found, self.objective)

    def get_config(self):
        config = super().get_config()
        objective = keras.saving.serialize_keras_object(self.objective)
        config.update({"num_rounds": self.num_rounds, "objective": objective})
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if not isinstance(config["objective"], str):
            config["objective"] = keras.saving.deserialize_keras_object(config["objective"])
        return super().from_config(config)
