import functools

import keras

from rocmr_keras.attacks import joint
from rocmr_keras.evaluation.encoding.groups import encode_joint
from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.evaluation.worst_ranks import worse


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Both(Protocol):
    """Attacks both sides: attacked queries search an attacked gallery.

    By default every text is attacked against the clean images, then every image against
    all attacked texts, the order of multimodal adversarial training. With a `schedule`
    each image is attacked together with its own captions, see `rocmr_keras.attacks.joint`.
    The report then has `group_margins`, the margin of each group, for `compare_margins`.
    Directions within a modality are not reported.

    Args:
        schedule: `"separate"`, `"sequential"`, `"co_attack"`, `"set_guidance"`,
            `"alternating"`, or `None`. Defaults to `None`.
        groups_per_batch: Integer, images with their captions that are attacked at once where
            there is a schedule. Defaults to `16`.

    Raises:
        ValueError: If the schedule is unknown, or the text attack does not write tokens.

    Reference:
        - [Zhang et al., 2022](https://arxiv.org/abs/2206.09391), Co-Attack
    """

    name = "both"
    needs_both = True

    def __init__(self, schedule=None, groups_per_batch=16):
        if schedule is not None:
            joint.check_schedule(schedule)
        self.schedule = schedule
        self.groups_per_batch = groups_per_batch

    @property
    def default_objective(self):
        # It decides by the margin too which state of a group is the better one.
        return "margin" if self.schedule == "alternating" else "contrastive"

    def check(self, image_attack, text_attack, objective):
        super().check(image_attack, text_attack, objective)
        # Its constructor refuses what does not fit, before anything is encoded.
        if self.schedule is not None:
            self._joint(image_attack, text_attack, objective)

    def run(self, encoded, threat, ids=None, keep_seen=False):
        """Attacks and ranks.

        Args:
            encoded: An `EncodedSplit`.
            threat: A `Threat`.
            ids: Integer array, with a schedule the ids that are attacked; the rest stays
                clean. Defaults to `None`, all of them.
            keep_seen: Boolean, with a schedule whether each query counts by the worst of all
                states of its group that the search has compared, not by the last one, which is the
                worst for the group as a whole. Defaults to `False`.

        Returns:
            A `Result`.
        """
        if self.schedule is not None:
            return self._together(encoded, threat, ids, keep_seen)
        images, texts, stalled = self._one_after_the_other(encoded, threat)
        return Result(encoded.rank_both(images, texts), stalled)

    def _one_after_the_other(self, encoded, threat):
        texts, texts_stalled = encoded.attack(threat, "texts", encoded.searched("text_to_image"))
        searched = SearchedGallery(texts, encoded.relevance("image_to_text"))
        images, images_stalled = encoded.attack(threat, "images", searched)
        return images, texts, {"images": images_stalled, "texts": texts_stalled}

    def _together(self, encoded, threat, ids, keep_seen):
        attack = self._joint(threat.image_attack, threat.text_attack, threat.objective)
        found = encode_joint(
            encoded, attack, self.groups_per_batch, ids, keep_inputs=False, keep_seen=keep_seen
        )
        rankings = [
            encoded.rank_both(state.images, state.texts)
            for state in (found["embeddings"], *found.get("seen", ()))
        ]
        worst = {
            name: functools.reduce(worse, [ranking[name] for ranking in rankings])
            for name in rankings[0]
        }
        figures = {"group_margins": found["losses"].tolist()}
        return Result(worst, found["stalled_shares"], figures)

    def _joint(self, image_attack, text_attack, objective):
        return joint.build(self.schedule, image_attack, text_attack, objective)

    def get_config(self):
        return {"schedule": self.schedule, "groups_per_batch": self.groups_per_batch}
