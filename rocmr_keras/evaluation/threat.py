import keras

from rocmr_keras.attacks import objectives

PROTOCOLS = ("query", "both")


class Threat:
    """What an attacker may do to a retrieval system, and towards which objective.

    Args:
        image_attack: An attack of modality `"images"` or `None`. Defaults to `None`.
        text_attack: An attack of modality `"embeddings"`, `"tokens"` or `"strings"`, or
            `None`. Defaults to `None`.
        objective: Name or callable that the attacks maximise, see
            `rocmr_keras.attacks.objectives.get`. Defaults to `"contrastive"`.
        protocol: `"query"`: only the query is attacked, the gallery is clean, and a
            direction whose query modality has no attack is not reported. `"both"`:
            every text is attacked against the clean images, then every image
            against the attacked texts, and the two meet. Figures of different
            protocols are never comparable. Defaults to `"query"`.

    Raises:
        ValueError: If there is no attack, an attack is of the wrong modality, the
            protocol or the objective is unknown, or `"both"` lacks one of the attacks.

    Example:

    ```python
    threat = Threat(image_attack=PGD(epsilon=8 / 255, num_steps=20))
    ```
    """

    def __init__(
        self,
        image_attack=None,
        text_attack=None,
        objective="contrastive",
        protocol="query",
    ):
        if protocol not in PROTOCOLS:
            raise ValueError(
                f"`protocol` must be one of {PROTOCOLS}. Received: "
                f"protocol={protocol!r}. Use 'query' where only the query is attacked."
            )
        given = [attack for attack in (image_attack, text_attack) if attack]
        if len(given) < (2 if protocol == "both" else 1):
            raise ValueError(
                f"Protocol {protocol!r} needs {'both attacks' if given else 'an attack'}"
                f". Received: image_attack={image_attack}, text_attack={text_attack}. "
                "Pass `image_attack` and/or `text_attack`."
            )
        # Here, not after an hour in the middle of an evaluation.
        _check_modality("image_attack", image_attack, ("images",))
        _check_modality("text_attack", text_attack, ("embeddings", "tokens", "strings"))
        objectives.get(objective)
        self.image_attack = image_attack
        self.text_attack = text_attack
        self.objective = objective
        self.protocol = protocol

    def describe(self):
        """Returns the whole budget as plain values, for a report."""
        objective = self.objective
        return {
            "protocol": self.protocol,
            "objective": getattr(objective, "__name__", objective),
            "image_attack": _describe(self.image_attack),
            "text_attack": _describe(self.text_attack),
        }


def _check_modality(name, attack, modalities):
    if attack is not None and attack.modality not in modalities:
        raise ValueError(
            f"`{name}` must perturb one of {modalities}. Received: "
            f"{type(attack).__name__}, which perturbs {attack.modality!r}. "
            "Choose an attack that fits."
        )


def _describe(attack):
    if attack is None:
        return None
    if attack.modality == "strings":
        return {"attack": type(attack).__name__, **attack.describe()}
    config = keras.saving.serialize_keras_object(attack)["config"]
    config = {key: value for key, value in config.items() if key != "name"}
    return {"attack": type(attack).__name__, **config}
