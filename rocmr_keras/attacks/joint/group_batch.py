"""Images and captions that are attacked together, and the galleries they stand in."""

from keras import ops

from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.goal import Goal
from rocmr_keras.attacks.objectives import Target
from rocmr_keras.attacks.tokens.adversarial_texts import encode_adversarial_texts
from rocmr_keras.backend import discard_updates


class Scene:
    """What a joint attack works on: some groups of one id, whole, in clean galleries.

    A group is the images and the captions of one id. An attacked item stands in the
    gallery in place of its clean self; the items of the other groups stay clean. So a
    group's losses depend on the group alone.

    Args:
        model: A `DualEncoder`.
        batch: Dict with `images` `(images, height, width, channels)`, `token_ids` and
            `padding_mask` `(texts, length)`; and, each once for images and once for texts,
            `image_ids`, `image_places`, the row of each item in its gallery,
            `image_groups`, ints below `num_groups`, and `image_sources`: an item that
            only fills up the batch names the item that it repeats, every other itself.
        gallery_images: Float tensor `(N, dim)`, clean embeddings.
        gallery_texts: Float tensor `(M, dim)`, clean embeddings.
        gallery_image_ids: Int tensor `(N,)`.
        gallery_text_ids: Int tensor `(M,)`.
        num_groups: Int.
    """

    def __init__(
        self,
        model,
        batch,
        gallery_images,
        gallery_texts,
        gallery_image_ids,
        gallery_text_ids,
        num_groups,
    ):
        self.model = model
        self.batch = batch
        self.gallery_images = gallery_images
        self.gallery_texts = gallery_texts
        self.num_groups = num_groups
        self._own_texts = _equal(batch["image_ids"], gallery_text_ids)
        self._own_images = _equal(batch["text_ids"], gallery_image_ids)

    def clean(self):
        """Returns the state of nothing attacked: dict of `images` and `token_ids`."""
        return {"images": self.batch["images"], "token_ids": self.batch["token_ids"]}

    def attack_images(self, attack, objective, token_ids, scales=(1.0,), paired=False):
        """Attacks the images against a gallery that holds these captions.

        Args:
            attack: An `ImageAttack`.
            objective: Name or callable.
            token_ids: Int tensor `(texts, length)`.
            scales: Sequence of floats; the image is attacked as it looks after it was
                brought to each of these sizes and back. Defaults to `(1.0,)`.
            paired: Bool, whether each image knows the first of its captions alone; the
                others then count neither way. Defaults to `False`.

        Returns:
            Float tensor like `batch["images"]`.
        """
        goal = Goal(self._image_target(self.encode_texts(token_ids), paired), objective)

        def loss_fn(images):
            views = [_rescaled(images, scale) for scale in scales]
            return sum(goal(self.model.encode_images(view, **goal.encoding)) for view in views)

        found = attack(self.batch["images"], loss_fn=loss_fn)
        return ops.take(found, self.batch["image_sources"], axis=0)

    def attack_texts(self, attack, objective, images):
        """Attacks the captions against a gallery that holds these images.

        Args:
            attack: A `TokenAttack`.
            objective: Name or callable.
            images: Float tensor `(images, height, width, channels)`.

        Returns:
            Int tensor like `batch["token_ids"]`.
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
            objective: Name or callable. Defaults to `"margin"`.
        """
        objective = objectives.get(objective)
        images, texts = self.encode_images(state["images"]), self.encode_texts(state["token_ids"])
        of_images = objective(images, self._image_target(texts))
        of_texts = objective(texts, self._text_target(images))
        return self._mean(of_images, "image") + self._mean(of_texts, "text")

    def keep_better(self, best, best_losses, state):
        """Takes the whole state of each group whose loss is higher.

        Returns:
            Tuple of the better state and its losses `(num_groups,)`.
        """
        losses = self.losses(state)
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
        clean = ops.take(self.gallery_images, self.batch["image_places"], axis=0)
        places, own, excluded = self.batch["text_places"], self._own_texts, None
        if paired:
            own, excluded = _first_and_others(own)
        return _GroupTarget(
            self.gallery_texts, places, texts, own, self.model.scale(), clean, excluded
        )

    def _text_target(self, images):
        clean = ops.take(self.gallery_texts, self.batch["text_places"], axis=0)
        places, own = self.batch["image_places"], self._own_images
        return _GroupTarget(self.gallery_images, places, images, own, self.model.scale(), clean)

    def _mean(self, losses, kind):
        """Returns the mean loss of each group; what only fills up the batch counts nothing."""
        groups, sources = (self.batch[f"{kind}_{name}"] for name in ("groups", "sources"))
        genuine = sources == ops.arange(sources.shape[0], dtype=sources.dtype)
        genuine = ops.cast(genuine, losses.dtype)
        total = ops.segment_sum(losses * genuine, groups, num_segments=self.num_groups)
        count = ops.segment_sum(genuine, groups, num_segments=self.num_groups)
        return total / ops.maximum(count, 1.0)


class _GroupTarget(Target):
    """The ground truth as attacked, everything else clean, also what is attacked beside it."""

    def __init__(self, gallery, places, attacked, positives, scale, clean, excluded=None):
        replaced = ops.scatter_update(gallery, ops.expand_dims(places, 1), attacked)
        super().__init__(replaced, positives, scale, clean, excluded=excluded)
        self._others = Target(gallery, positives, excluded=excluded)

    def similarities(self, embeddings):
        others = self._others.similarities(embeddings)
        return ops.where(self.positives, super().similarities(embeddings), others)


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
