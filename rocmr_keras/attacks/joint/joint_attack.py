import keras

from rocmr_keras.attacks.checks import check_modality


class JointAttack(keras.layers.Layer):
    """Base class of the attacks on images and captions at once.

    A joint attack is a schedule: in which order the two modalities are attacked, and
    towards what. The budget is that of the two attacks it is built with, of which it
    takes copies: the draws depend on their seeds only. Subclasses implement
    `search(groups)`, which returns the state it found, a dict of `images` and `token_ids`.

    Args:
        image_attack: An attack of modality `"images"`.
        text_attack: An attack of modality `"tokens"`.

    Raises:
        ValueError: If an attack is of the wrong modality.
    """

    def __init__(self, image_attack, text_attack, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_modality("image_attack", image_attack, ("images",))
        check_modality("text_attack", text_attack, ("tokens",))
        self.image_attack = _copy(image_attack)
        self.text_attack = _copy(text_attack)
        self.built = True

    def attack(self, groups):
        """Attacks all groups of a batch.

        Args:
            groups: A `GroupBatch`.

        Returns:
            Tuple of the state, a dict of `images` and `token_ids`, and the losses of the
            groups, `(num_groups,)`. A group that is worse off than clean stays clean.
        """
        clean = groups.clean()
        return groups.keep_better(clean, groups.losses(clean), self.search(groups))

    def stalled_shares(self):
        """Returns the share of stalled gradients, by modality."""
        return {
            "images": self.image_attack.stalled_share,
            "texts": self.text_attack.stalled_share,
        }

    def search(self, groups):
        raise NotImplementedError

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()
        return {
            "name": config["name"],
            "image_attack": serialize(self.image_attack),
            "text_attack": serialize(self.text_attack),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("image_attack", "text_attack"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def _copy(attack):
    return type(attack).from_config(attack.get_config())
