import keras
from keras import ops

from rocmr_keras.attacks.objectives import Target
from rocmr_keras.attacks.perturb import encode_adversarial_texts
from rocmr_keras.attacks.perturb import perturb_images
from rocmr_keras.attacks.perturb import perturb_texts
from rocmr_keras.backend import AdversarialSteps
from rocmr_keras.backend import discard_updates


class QueryEncoder(AdversarialSteps, keras.Model):
    """Encodes the queries of one modality, attacked against a fixed gallery or clean.

    A `keras.Model`, so that `predict_on_batch` runs the attack inside Keras's
    compiled step of the active backend. The gallery is given whole and never the
    batch: what is found for a query does not depend on which others are attacked
    beside it.

    Args:
        model: A `DualEncoder`.
        modality: `"images"` or `"texts"`, the modality of the queries.
        attack: An attack on that modality, or `None` to encode clean queries.
            Defaults to `None`.
        objective: Name or callable, what the attack maximises. Defaults to
            `"contrastive"`.
        gallery: Float array `(items, dim)`, L2-normalised embeddings of the other
            modality; needed with an attack. Defaults to `None`.
        gallery_ids: Integer array `(items,)`; an item is right for a query of equal id.
            Defaults to `None`: every batch brings its `positives`.

    Call arguments:
        batch: Batch dict of the queries. With an attack also `positives`, boolean
            `(batch, items)`, the items that are right, or `image_ids`, where there are
            `gallery_ids`; and perhaps `excluded`, boolean `(batch, items)`, items that are
            neither right nor wrong, and `start_images`, where an attack on images begins.

    Returns:
        Dict with `embeddings`, `(batch, dim)`, and what the attack found:
        `adversarial_images`, `adversarial_token_ids` or `text_perturbation`.

    Raises:
        ValueError: If the attack does not fit the modality, or has no gallery; in a call, if
            nothing tells which items are right.
    """

    def __init__(
        self,
        model,
        modality,
        attack=None,
        objective="contrastive",
        gallery=None,
        gallery_ids=None,
    ):
        super().__init__(autocast=False)
        _check(modality, attack, gallery)
        self.dual_encoder = model
        self.modality = modality
        self.attack = attack
        self.objective = objective
        if attack is not None:
            # Weights, not Python arrays: the compiled step does not embed them.
            self.gallery = self._constant("gallery", gallery, "float32")
            self.gallery_ids = None
            if gallery_ids is not None:
                self.gallery_ids = self._constant("gallery_ids", gallery_ids, "int32")
        self.built = True
        self.compile()

    def perturb(self, data, training=False):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        batch = keras.tree.map_structure(ops.convert_to_tensor, batch)
        if self.attack is None:
            return batch
        with discard_updates():
            clean = self._encode(batch)
        model, attack, objective = self.dual_encoder, self.attack, self.objective
        target = self._target(batch, clean)
        if self.modality == "texts":
            return {**batch, **perturb_texts(model, attack, batch, target, objective)}
        images, start = batch["images"], batch.get("start_images")
        images = perturb_images(model, attack, images, target, objective, start)
        return {**batch, "adversarial_images": images}

    def call(self, batch):
        names = ("adversarial_images", "adversarial_token_ids", "text_perturbation")
        found = {name: batch[name] for name in names if name in batch}
        return {"embeddings": self._encode(batch), **found}

    def _encode(self, batch):
        model = self.dual_encoder
        if self.modality == "images":
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
        )

    def _constant(self, name, value, dtype):
        weight = self.add_weight(shape=value.shape, dtype=dtype, trainable=False, name=name)
        weight.assign(value)
        return weight


_FITTING = {"images": ("images",), "texts": ("embeddings", "tokens")}


def _check(modality, attack, gallery):
    if modality not in _FITTING:
        raise ValueError(
            "`modality` must be 'images' or 'texts'. "
            f"Received: modality={modality!r}. Name the modality of the queries."
        )
    if attack is None:
        return
    if attack.modality not in _FITTING[modality]:
        raise ValueError(
            f"Queries of modality {modality!r} take an attack on one of "
            f"{_FITTING[modality]}. Received: attack={type(attack).__name__}, which "
            f"perturbs {attack.modality!r}. Choose an attack that fits."
        )
    if gallery is None:
        raise ValueError(
            "An attack needs the gallery that the queries search. Received: gallery=None. "
            "Pass the clean embeddings of the other modality."
        )


def _check_ids(gallery_ids):
    if gallery_ids is None:
        raise ValueError(
            "An attack must know which items are right. Received: gallery_ids=None and a batch "
            "without `positives`. Pass the id of each item, or put `positives` into the batch."
        )
