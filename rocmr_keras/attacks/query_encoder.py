import keras
from keras import ops

from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.checks import QUERY_KEYS
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.attacks.goal import Goal
from rocmr_keras.attacks.objectives import Target
from rocmr_keras.attacks.tokens.adversarial_texts import encode_adversarial_texts
from rocmr_keras.backend import AdversarialSteps
from rocmr_keras.backend import discard_updates

# What an attack may have added to a batch.
_FOUND = (
    "adversarial_images",
    "adversarial_token_ids",
    "adversarial_padding_mask",
    "text_perturbation",
)


class QueryEncoder(AdversarialSteps, keras.Model):
    """Encodes queries, clean or attacked against a fixed gallery.

    A `keras.Model`, so that `predict_on_batch` runs the attack inside Keras's compiled
    step of the active backend. Queries are attacked against the whole gallery, never
    against the batch, so the result for one does not depend on the others in its batch.

    Args:
        model: A `DualEncoder`.
        side: `"images"` or `"texts"`, what the queries are.
        attack: An `Attack` on that side, or `None` to encode clean queries. It takes no
            more out of a batch than images, or token ids and their mask.
            Defaults to `None`.
        objective: String or callable, what the attack maximises. Defaults to
            `"contrastive"`.
        gallery: Float array `(items, dim)`, L2-normalised embeddings of the other
            side; needed with an attack. Defaults to `None`.
        gallery_ids: Integer array `(items,)`; an item is right for a query of equal id.
            Defaults to `None`: every batch brings its `positives`.

    Call arguments:
        batch: Batch dict of the queries. With an attack also `positives`, boolean
            `(batch, items)`, the items that are right, or `image_ids`, where there are
            `gallery_ids`; and perhaps `excluded`, boolean `(batch, items)`, items that are
            neither right nor wrong; `first_rank`, integer `(batch,)`, where `MarginsInTurn`
            begins, or `rival` of `TargetedMargin`; and `start_images`, where an attack on images
            begins.

    Returns:
        Dict with `embeddings`, `(batch, dim)`, and what the attack found:
        `adversarial_images`, `text_perturbation`, or `adversarial_token_ids` and perhaps
        `adversarial_padding_mask`.

    Raises:
        ValueError: If the attack does not fit the side, or has no gallery; in a call, if
            nothing tells which items are right.
    """

    def __init__(
        self,
        model,
        side,
        attack=None,
        objective="contrastive",
        gallery=None,
        gallery_ids=None,
    ):
        # Under a mixed policy Keras would else cast images to half precision on entry.
        super().__init__(autocast=False)
        _check(side, attack, gallery)
        self.dual_encoder = model
        self.side = side
        self.attack = attack
        self.objective = objective
        if attack is not None:
            # Weights, not Python arrays: the compiled step does not embed them.
            self.gallery = self._constant("gallery", gallery, "float32")
            self.gallery_ids = None
            if gallery_ids is not None:
                self.gallery_ids = self._constant("gallery_ids", gallery_ids, "int32")
        # The towers are built: Keras need not trace a call to find that out.
        self.built = True
        self.compile()

    def perturb(self, data, training=False):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        batch = keras.tree.map_structure(ops.convert_to_tensor, batch)
        if self.attack is None:
            return batch
        # Encoded in any case: the objective may be one that measures from the clean query.
        with discard_updates():
            clean = self._encode(batch)
        goal = Goal(self._target(batch, clean), self.objective)
        return {**batch, **self.attack.perturb(self.dual_encoder, batch, goal)}

    def call(self, batch):
        found = {name: batch[name] for name in _FOUND if name in batch}
        return {"embeddings": self._encode(batch), **found}

    def _encode(self, batch):
        model = self.dual_encoder
        if self.side == "images":
            images = batch.get("adversarial_images", batch["images"])
            return model.encode_images(images, training=False)
        if "adversarial_token_ids" in batch or "text_perturbation" in batch:
            return encode_adversarial_texts(model, batch)
        return model.encode_texts(batch["token_ids"], batch["padding_mask"], training=False)

    def _target(self, batch, clean):
        positives = batch.get("positives")
        if positives is None:
            _check_ids(self.gallery_ids)
            gallery_ids = ops.convert_to_tensor(self.gallery_ids)
            positives = ops.expand_dims(batch["image_ids"], 1) == gallery_ids
        return Target(
            gallery=ops.convert_to_tensor(self.gallery),
            positives=positives,
            scale=self.dual_encoder.scale(),
            clean=clean,
            excluded=batch.get("excluded"),
            first_rank=batch.get("first_rank"),
        )

    def _constant(self, name, value, dtype):
        weight = self.add_weight(shape=value.shape, dtype=dtype, trainable=False, name=name)
        weight.assign(value)
        return weight


def _check(side, attack, gallery):
    if side not in ("images", "texts"):
        raise ValueError(
            f"`side` must be 'images' or 'texts'. Received: side={side!r}. "
            "Name what the queries are."
        )
    if attack is None:
        return
    check_attack("attack", attack, side, (Attack,), QUERY_KEYS)
    if gallery is None:
        raise ValueError(
            "An attack needs the gallery that the queries search. Received: gallery=None. "
            "Pass the clean embeddings of the other side."
        )


def _check_ids(gallery_ids):
    if gallery_ids is None:
        raise ValueError(
            "An attack must know which items are right. Received: gallery_ids=None and a batch "
            "without `positives`. Pass the id of each item, or put `positives` into the batch."
        )
