import keras

from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.attacks.images.image_attack import ImageAttack
from rocmr_keras.attacks.tokens.token_attack import TokenAttack


class JointAttack(keras.layers.Layer):
    """Base class of attacks on images and captions at once.

    A joint attack is a schedule: it decides in which order and on which objectives its
    image attack and its text attack are run. They also set the budget. It works on copies
    of them, so its draws depend on their seeds only. Subclasses implement
    `search(groups)`, which returns a dict of the `images` and `token_ids` found.

    Args:
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.

    Attributes:
        group_objective: String or callable, what tells which of two states of a group is the
            worse one for the model.

    Raises:
        ValueError: If an attack is of another kind.
    """

    group_objective = "margin"

    def __init__(self, image_attack, text_attack, **kwargs):
        # It only passes on what its attacks compute in float32.
        super().__init__(autocast=False, **kwargs)
        check_attack("image_attack", image_attack, "images", (ImageAttack,))
        check_attack("text_attack", text_attack, "texts", (TokenAttack,))
        self.image_attack = image_attack.fresh()
        self.text_attack = text_attack.fresh()
        self.built = True

    def attack(self, groups):
        """Attacks all groups of a batch.

        Args:
            groups: A `GroupBatch`.

        Returns:
            Tuple of the state, a dict of `images` and `token_ids`, and the margins of the
            groups, `(num_groups,)`. A group that is worse off than clean stays clean.
        """
        judge, clean = self.group_objective, groups.clean()
        losses = groups.losses(clean, judge)
        found, _ = groups.keep_better(clean, losses, self.search(groups), judge)
        return found, groups.losses(found)

    def stalled_shares(self):
        """Returns the share of stalled gradients, by side."""
        return {
            "images": self.image_attack.stalled_share,
            "texts": self.text_attack.stalled_share,
        }

    def search(self, groups):
        raise NotImplementedError

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()
        # No settings of an attack, as in `Attack`.
        config.pop("dtype", None)
        config.pop("trainable", None)
        config.update(
            {
                "image_attack": serialize(self.image_attack),
                "text_attack": serialize(self.text_attack),
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("image_attack", "text_attack"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
