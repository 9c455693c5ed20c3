"""What `benchmark.py` compares: each function returns things to do, the baseline first."""

import resource

import keras
import numpy as np
from keras import ops

import rocmr_keras as rk


class Compiled(keras.Model):
    """Runs a function of a batch inside Keras's compiled predict step."""

    def __init__(self, function, *parts):
        super().__init__(autocast=False)
        self.function = function
        self.parts = parts
        self.built = True
        self.compile()

    def call(self, batch):
        return self.function(batch)

    def runner(self, batch):
        return lambda: self.predict_on_batch(batch)


def _target(model, batch, side):
    """The other side of the batch, as a constant gallery."""
    if side == "images":
        gallery = model.encode_texts(batch["token_ids"], batch["padding_mask"])
    else:
        gallery = model.encode_images(batch["images"])
    gallery = ops.convert_to_tensor(ops.convert_to_numpy(gallery))
    positives = ops.convert_to_tensor(np.eye(gallery.shape[0], dtype=bool))
    return rk.attacks.Target(gallery, positives, scale=14.0)


def attack(model, batch, num_steps):
    """PGD against as many forward and input-only backward passes of the image tower."""
    goal = rk.attacks.Goal(_target(model, batch, "images"))

    def loss_fn(images):
        return goal(model.encode_images(images, training=False))

    def passes(batch):
        losses, gradient = rk.attacks.value_and_grad(loss_fn)(batch["images"])
        return losses, ops.sum(gradient, axis=(1, 2, 3))

    def pgd(keep_best):
        attack = rk.attacks.PGD(8 / 255, num_steps, keep_best=keep_best)

        def run(batch):
            found = attack(batch["images"], loss_fn=loss_fn)
            return ops.sum(found, axis=(1, 2, 3))

        return Compiled(run, model, attack).runner(batch)

    one = Compiled(passes, model).runner(batch)
    return {
        f"{num_steps} x (forward + input backward)": lambda: [one() for _ in range(num_steps)],
        f"PGD-{num_steps}, last iterate": pgd(False),
        f"PGD-{num_steps}, best iterate": pgd(True),
    }


def substitution(model, batch, counts):
    """One replaced token against one forward pass with the gradient by the embeddings."""
    goal = rk.attacks.Goal(_target(model, batch, "texts"))

    def passes(batch):
        def loss_fn(embeddings):
            mask = batch["padding_mask"]
            return goal(model.encode_text_embeddings(embeddings, mask, training=False))

        losses, gradient = rk.attacks.value_and_grad(loss_fn)(
            model.embed_tokens(batch["token_ids"])
        )
        return losses, ops.sum(gradient, axis=(1, 2))

    def replaced(count, look_ahead):
        attack = rk.attacks.TokenSubstitution(1, count, look_ahead=look_ahead)

        def run(batch):
            return attack.perturb(model, batch, goal)

        return Compiled(run, model, attack).runner(batch)

    one = {"forward + embedding gradient": Compiled(passes, model).runner(batch)}
    kinds = [(False, ""), (True, ", looking ahead")]
    return one | {
        f"one token, {count} tried{kind}": replaced(count, look_ahead)
        for count in counts
        for look_ahead, kind in kinds
        if count > 1 or not look_ahead
    }


def recall(num_images, captions_per_image=5, dim=512):
    """Ranks in both directions against the product of all similarities."""
    draw = np.random.default_rng(0)
    image_ids = np.arange(num_images)
    text_ids = np.repeat(image_ids, captions_per_image)
    shapes = (num_images, dim), (num_images * captions_per_image, dim)
    images, texts = (draw.standard_normal(shape, "float32") for shape in shapes)
    for rows in (images, texts):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    product = np.empty((num_images, len(texts)), "float32")
    relevance = rk.metrics.Relevance.from_ids(image_ids, text_ids)
    reverse = relevance.transpose()
    return {
        "similarity product": lambda: np.matmul(images, texts.T, out=product),
        "one way, with mAP@R": lambda: rk.metrics.rank_matches(images, texts, relevance),
        "both ways": lambda: rk.metrics.cross_modal_ranks(images, texts, image_ids, text_ids),
        "both ways, with mAP@R": lambda: rk.metrics.rank_both(images, texts, relevance, reverse),
    }


def memory(model, num_images, batch_size, captions_per_image=5):
    """Evaluates a split clean and under PGD-1; returns a sentence about the memory."""
    draw = np.random.default_rng(0)
    ids = np.arange(num_images)
    pixels = draw.integers(0, 256, (num_images, *model.preprocessor.image_size, 3), "uint8")
    numbers = draw.integers(0, 1000, (num_images * captions_per_image, 2))
    captions = [f"{first} {second}" for first, second in numbers]
    split = rk.data.Split(pixels, ids, captions, np.repeat(ids, captions_per_image))
    attacks = {"pgd": rk.attacks.PGD(8 / 255, num_steps=1)}
    small = split.subset(batch_size)
    rk.evaluation.evaluate(model, small, attacks, batch_size=batch_size, verbose=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rk.evaluation.evaluate(model, split, attacks, batch_size=batch_size)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (
        f"{num_images} images, {len(captions)} captions: at most {after / 2**20:.2f} GiB, "
        f"{(after - before) / 2**20:.2f} more than {batch_size} images needed."
    )
