import keras

from rocmr_keras.attacks.joint.co_attack import CoAttack
from rocmr_keras.attacks.joint.joint_attack import JointAttack
from rocmr_keras.attacks.joint.separate import Separate
from rocmr_keras.attacks.joint.sequential import Sequential
from rocmr_keras.attacks.joint.set_guidance import SetGuidance


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Alternating(JointAttack):
    """Attacks captions and images in turn on the loss of rank itself, and keeps the best.

    It begins with the best that `Separate`, `Sequential`, `CoAttack` and `SetGuidance`
    find for each group, then alternates: captions against the images found so far, then
    images against these captions, both on `margin`. Nothing is accepted for a group that
    does not raise its loss, so it is at least as strong as each of the four, group by group.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        num_rounds: Integer, the rounds after the start. Defaults to `3`.
    """

    def __init__(self, image_attack, text_attack, num_rounds=3, **kwargs):
        super().__init__(image_attack, text_attack, **kwargs)
        self.num_rounds = num_rounds
        kinds = (Separate, Sequential, CoAttack, SetGuidance)
        self.starts = [kind(image_attack, text_attack) for kind in kinds]

    def search(self, groups):
        best = groups.clean()
        losses = groups.losses(best)
        for start in self.starts:
            best, losses = groups.keep_better(best, losses, start.search(groups))
        for _ in range(self.num_rounds):
            best, losses = self._round(groups, best, losses)
        return best

    def _round(self, groups, best, losses):
        token_ids = groups.attack_texts(self.text_attack, "margin", best["images"])
        found = {"images": best["images"], "token_ids": token_ids}
        best, losses = groups.keep_better(best, losses, found)
        images = groups.attack_images(self.image_attack, "margin", best["token_ids"])
        found = {"images": images, "token_ids": best["token_ids"]}
        return groups.keep_better(best, losses, found)

    def get_config(self):
        return {
            **super().get_config(),
            "num_rounds": self.num_rounds,
        }
