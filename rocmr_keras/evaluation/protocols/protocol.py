class Protocol:
    """Base class of protocols, which say who is attacked in a retrieval.

    Figures of different protocols are not comparable. Subclasses set `name` and
    `default_objective`, and implement `run`, which attacks and ranks.

    Attributes:
        name: String, as reports call it.
        default_objective: String, what the attacks maximise unless told otherwise.
        needs_both: Boolean, whether both modalities must have an attack.
    """

    name = None
    default_objective = "contrastive"
    needs_both = False

    def run(self, encoded, threat):
        """Attacks and ranks.

        Args:
            encoded: An `EncodedSplit`.
            threat: A `Threat`.

        Returns:
            A `Result`.
        """
        raise NotImplementedError

    def check(self, image_attack, text_attack, objective):
        """Raises a `ValueError` if these cannot be run under this protocol."""
        given = [attack for attack in (image_attack, text_attack) if attack is not None]
        if len(given) < (2 if self.needs_both else 1):
            raise ValueError(
                f"Protocol {self.name!r} needs "
                f"{'both attacks' if self.needs_both else 'an attack'}"
                f". Received: image_attack={image_attack}, text_attack={text_attack}. "
                "Pass `image_attack` and/or `text_attack`."
            )

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Result:
    """What a protocol measured.

    Args:
        rankings: Dict from a direction to a `Ranking`, of the directions it covers.
        stalled: Dict from what was attacked to the share of stalled gradients.
        figures: Dict of plain values, what this protocol alone reports. Defaults to
            `None`, nothing.
    """

    def __init__(self, rankings, stalled, figures=None):
        self.rankings = rankings
        self.stalled = stalled
        self.figures = figures or {}
