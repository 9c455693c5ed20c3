"""A batch for joint attacks: images and captions that are attacked together."""

import collections

from keras import ops

from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.goal import Goal
from rocmr_keras.attacks.objectives import Target
from rocmr_keras.attacks.tokens.adversarial_texts import encode_adversarial_texts
from rocmr_keras.backend import discard_updates


class Galleries(collections.namedtuple("Galleries", "images texts image_ids text_ids")):
    """The clean embeddings of all images and texts, each the gallery of the other.

    Args:
        images: Float array `(N, dim)`.
        texts: Float array `(M, dim)`.
        image_ids: Integer array `(N,)`.
        text_ids: Integer array `(M,)`.
    """


class GroupBatch:
    """A batch of images and captions for a joint attack, in groups of equal id.

    A group is all images and captions of one id. Its loss is computed against galleries in
    which its own items are attacked and the items of all other groups are clean, so it does
    not depend on the other groups in the batch.

    Args:
        model: A `DualEncoder`.
        batch: Dict with `images` `(images, height, width, channels)`, `token_ids` and
            `padding_mask` `(texts, length)`, and four integer tensors `(images,)`:
            `image_ids`; `image_places`, the row of each image in the gallery of all images;
            `image_groups`, the index of its group; and `image_sources`, its own row in the
            batch or, for padding, the row that it repeats. Likewise `text_ids` and so on.
        galleries: `Galleries` of tensors.
        num_groups: Integer, groups in a batch.

    Attributes:
        seen: List of tuples of image embeddings `(images, dim)` and text embeddings
            `(texts, dim)`, one for each state that `keep_better` has looked at.
    """

    def __init__(self, model, batch, galleries, num_groups):
        self.model = model
        self.batch = batch
        self.galleries = galleries
        self.num_groups = num_groups
        self.seen = []
        self._own_texts = _equal(batch["image_ids"], galleries.text_ids)
        self._own_images = _equal(batch["text_ids"], galleries.image_ids)

    def clean(self):
        """Returns the inputs before any attack: dict of `images` and `token_ids`."""
        return {"images": self.batch["images"], "token_ids": self.batch["token_ids"]}

    def attack_images(self, attack, objective, token_ids, scales=(1.0,), paired=False):
        """Attacks the images against a gallery that holds these captions.

        Args:
            attack: An `ImageAttack`.
            objective: String or callable.
            token_ids: Integer tensor `(texts, length)`.
            scales: Sequence of floats; the image is attacked as it looks after it was
                brought to each of these sizes and back. Defaults to `(1.0,)`.
            paired: Boolean, whether each image knows the first of its captions alone; the
                others then count neither way. Defaults to `False`.

        Returns:
            Float tensor like `batch["images"]`.
        """
        goal = Goal(self._image_target(self.encode_texts(token_ids), paired), objective)

        def loss_fn(images):
            # In one batch: a tower is traced at each call.
            views = ops.concatenate([_rescaled(images, scale) for scale in scales])
            losses = goal(self.model.encode_images(views, **goal.encoding))
            return ops.sum(ops.reshape(losses, (len(scales), -1)), axis=0)

        found = attack(self.batch["images"], loss_fn=loss_fn)
        # Padding was attacked with draws of its own, but must equal the item that it
        # repeats: both are written to the same row of a gallery.
        return ops.take(found, self.batch["image_sources"], axis=0)

    def attack_texts(self, attack, objective, images):
        """Attacks the captions against a gallery that holds these images.

        Args:
            attack: A `TokenAttack`.
            objective: String or callable.
            images: Float tensor `(images, height, width, channels)`.

        Returns:
            Integer tensor like `batch["token_ids"]`.
        """
        goal = Goal(self._text_target(self.encode_images(images)), objective)
        found = attack.perturb(self.model, self.batch, goal)
        return ops.take(found["adversarial_token_ids"], self.batch["text_sources"], axis=0)

    def encode_images(self, images):
        with discard_updates():
            return self.model.encode_images(images, training=False)

    def encode_texts(self, token_ids):
        batch = {**self.batch, "adversarial_token_ids": token_ids}
        with discard_updates():
            return encode_adversarial_texts(self.model, batch)

    def losses(self, state, objective="margin"):
        """Returns the loss of each group, `(num_groups,)`: of its images and of its texts.

        Args:
            state: Dict of `images` and `token_ids`.
            objective: String or callable. Defaults to `"margin"`.
        """
        return self.losses_of(*self.encode(state), objective)

    def encode(self, state):
        """Returns the embeddings of a state, `(images, dim)` and `(texts, dim)`."""
        return self.encode_images(state["images"]), self.encode_texts(state["token_ids"])

    def losses_of(self, images, texts, objective):
        """Returns the losses of a state from its embeddings, as `losses` does."""
        objective = objectives.get(objective)
        of_images = objective(images, self._image_target(texts))
        of_texts = objective(texts, self._text_target(images))
        return self._mean(of_images, "image") + self._mean(of_texts, "text")

    def keep_better(self, best, best_losses, state, objective="margin"):
        """Takes the whole state of each group whose loss is higher, see `losses`.

        Returns:
            Tuple of the better state and its losses `(num_groups,)`.
        """
        embeddings = self.encode(state)
        self.seen.append(embeddings)
        losses = self.losses_of(*embeddings, objective)
        better = ops.logical_and(losses > best_losses, ops.isfinite(losses))
        of_images = ops.take(better, self.batch["image_groups"])
        of_texts = ops.take(better, self.batch["text_groups"])
        kept = {
            "images": ops.where(
                ops.reshape(of_images, (-1, 1, 1, 1)), state["images"], best["images"]
            ),
            "token_ids": ops.where(
                ops.expand_dims(of_texts, 1), state["token_ids"], best["token_ids"]
            ),
        }
        return kept, ops.where(better, losses, best_losses)

    def _image_target(self, texts, paired=False):
        gallery, batch = self.galleries.texts, self.batch
        positives, excluded = self._own_texts, None
        if paired:
            positives, excluded = _first_and_others(positives)
        attacked = _replaced(gallery, batch["text_places"], texts)
        clean = ops.take(self.galleries.images, batch["image_places"], axis=0)
        scale = self.model.scale()
        return _GroupTarget(
            gallery, attacked, positives, scale=scale, clean=clean, excluded=excluded
        )

    def _text_target(self, images):
        gallery, batch = self.galleries.images, self.batch
        attacked = _replaced(gallery, batch["image_places"], images)
        clean = ops.take(self.galleries.texts, batch["text_places"], axis=0)
        scale = self.model.scale()
        return _GroupTarget(gallery, attacked, self._own_images, scale=scale, clean=clean)

    def _mean(self, losses, kind):
        """Returns the mean loss of each group, without the padding of the batch."""
        groups, sources = (self.batch[f"{kind}_{name}"] for name in ("groups", "sources"))
        genuine = sources == ops.arange(sources.shape[0], dtype=sources.dtype)
        genuine = ops.cast(genuine, losses.dtype)
        total = ops.segment_sum(losses * genuine, groups, num_segments=self.num_groups)
        count = ops.segment_sum(genuine, groups, num_segments=self.num_groups)
        # The last batch may have fewer groups than the others.
        return total / ops.maximum(count, 1.0)


class _GroupTarget(Target):
    """A target whose positives are attacked items, while all other items are clean.

    Items of other groups are clean even where the same batch attacks them.
    """

    def __init__(self, clean_gallery, attacked_gallery, positives, **options):
        super().__init__(attacked_gallery, positives, **options)
        self._others = Target(clean_gallery, positives, excluded=self.excluded)

    def similarities(self, embeddings):
        others = self._others.similarities(embeddings)
        return ops.where(self.positives, super().similarities(embeddings), others)


def _replaced(gallery, places, embeddings):
    return ops.scatter_update(gallery, ops.expand_dims(places, 1), embeddings)


def _rescaled(images, scale):
    """Returns the images after a resize to `scale` times their size and back."""
    if scale == 1.0:
        return images
    height, width = images.shape[1:3]
    size = (max(round(scale * height), 1), max(round(scale * width), 1))
    resized = ops.image.resize(images, size, interpolation="bilinear")
    return ops.image.resize(resized, (height, width), interpolation="bilinear")


def _first_and_others(own):
    """Splits a mask `(examples, items)` into the first item of each example and the rest."""
    first = ops.logical_and(own, ops.cumsum(ops.cast(own, "int32"), axis=1) == 1)
    return first, ops.logical_and(own, ops.logical_not(first))


def _equal(ids, gallery_ids):
    return ops.expand_dims(ids, 1) == gallery_ids
