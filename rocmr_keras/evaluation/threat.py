from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.checks import QUERY_KEYS
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.evaluation import protocols


class Threat:
    """A threat model: the attacks on each side, their objective and the protocol.

    Args:
        image_attack: An `ImageAttack`, or `None`. Defaults to `None`.
        text_attack: An `EmbeddingAttack`, a `TokenAttack` or a `StringAttack`, or `None`.
            Defaults to `None`.
        objective: String or callable that the attacks maximise, see
            `rocmr_keras.attacks.objectives.get`, or `None` for what suits the
            protocol: `"similarity"` for `"gallery"`, `"target_similarity"` for
            `"inserted"`, `"contrastive"` otherwise. Defaults to `None`.
        protocol: A `rocmr_keras.evaluation.protocols.Protocol` or the name of one, who is
            attacked: the `"query"`, the right items of the `"gallery"`, hubs that are
            `"inserted"`, or `"both"` sides. Figures of different protocols are never
            comparable. Defaults to `"query"`.

    Raises:
        ValueError: If there is no attack, an attack does not fit its side, the
            protocol or the objective is unknown, or the protocol cannot use them.

    Example:

    ```python
    threat = Threat(image_attack=PGD(epsilon=8 / 255, num_steps=20))
    ```
    """

    def __init__(
        self,
        image_attack=None,
        text_attack=None,
        objective=None,
        protocol="query",
    ):
        protocol = protocols.get(protocol)
        if objective is None:
            objective = protocol.default_objective
        protocol.check(image_attack, text_attack, objective)
        # Here, not after an hour in the middle of an evaluation.
        for side, attack in (("images", image_attack), ("texts", text_attack)):
            if attack is not None:
                check_attack(f"{side[:-1]}_attack", attack, side, batch_keys=QUERY_KEYS)
        objectives.get(objective)
        self.image_attack = image_attack
        self.text_attack = text_attack
        self.objective = objective
        self.protocol = protocol

    def attack_on(self, modality):
        """Returns the attack on `"images"` or `"texts"`, or `None`."""
        return self.image_attack if modality == "images" else self.text_attack

    def describe(self):
        """Returns the whole budget as plain values, for a report."""
        objective = self.objective
        return {
            "protocol": self.protocol.name,
            **self.protocol.get_config(),
            "objective": getattr(objective, "__name__", objective),
            "image_attack": _describe(self.image_attack),
            "text_attack": _describe(self.text_attack),
        }


def _describe(attack):
    if attack is None:
        return None
    return {"attack": type(attack).__name__, **attack.describe()}
