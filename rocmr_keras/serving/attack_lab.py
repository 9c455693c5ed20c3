import base64
import io

import numpy as np
import tensorflow as tf
from keras import ops

from rocmr_keras.attacks import PGD
from rocmr_keras.attacks import QueryEncoder
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords
from rocmr_keras.data.image_headers import read_header
from rocmr_keras.serving.request_error import RequestError

MAX_EPSILON = 16
MAX_SUBSTITUTIONS = 3
_MAX_PIXELS = 16_000_000
_TOP = 5


class AttackLab:
    """Attacks a query on several models and compares their results before and after.

    Images are attacked by PGD, texts by replacing whole words. The attacks are white-box,
    so each model gets a perturbation of its own, which pushes the query away from the items
    that the model found first.

    Args:
        models: Dict of name to `DualEncoder` with a preprocessor, or to its trainer, which
            `keras.callbacks.ModelCheckpoint` saves.
        paths: Dict of item name to path of an image: the gallery, at most `max_items`
            of it, evenly spaced.
        num_steps: Integer, steps of PGD. Defaults to `20`.
        max_items: Integer. Defaults to `2000`.
        seed: Integer, of the random start. Defaults to `0`.

    Raises:
        ValueError: If there is no model or no item.

    Example:

    ```python
    lab = AttackLab({"standard": standard, "robust": robust}, {"cat": "cat.png", ...})
    for result in lab.attack_text("a red apple", num_substitutions=1):
        result["attacked"], result["after"]
    ```
    """

    def __init__(self, models, paths, num_steps=20, max_items=2000, seed=0):
        if not models or not paths:
            raise ValueError(
                "`models` and `paths` must not be empty. "
                f"Received: {len(models)} models, {len(paths)} items. "
                "Name at least one model, and the pictures it shall find."
            )
        names = list(paths)[:: -(-len(paths) // max_items)]
        pictures = [paths[name] for name in names]
        self._models = [
            _AttackedModel(
                title, getattr(model, "dual_encoder", model), names, pictures, num_steps, seed
            )
            for title, model in models.items()
        ]

    @property
    def titles(self):
        """List of the models' names."""
        return [model.title for model in self._models]

    def attack_image(self, contents, epsilon):
        """Attacks an image on each model.

        Args:
            contents: Bytes of an image file.
            epsilon: Number, the linf budget in 255ths, above 0 and at most 16.

        Returns:
            A list with a dict for each model: `model`, `before` and `after` (lists of
            `name` and `score`), and the PNG files `original`, `attacked` and
            `difference` in base64, the last centred at gray and magnified by `factor`.

        Raises:
            RequestError: If the image cannot be read or the budget is out of its range.
        """
        _check_number("epsilon", epsilon, MAX_EPSILON, (int, float))
        _check_image(contents)
        return [model.attack_image(contents, epsilon) for model in self._models]

    def attack_text(self, text, num_substitutions=1):
        """Attacks a text on each model.

        Args:
            text: String.
            num_substitutions: Integer, words replaced, 1 to 3. Defaults to `1`.

        Returns:
            A list as that of `attack_image`, with the texts `original` and `attacked`.

        Raises:
            RequestError: If the number is out of its range or the text is none.
        """
        _check_number("num_substitutions", num_substitutions, MAX_SUBSTITUTIONS, (int,))
        if not isinstance(text, str) or not text.strip() or len(text) > 1000:
            raise RequestError(
                "'text' must be a string of 1 to 1000 characters. "
                f"Received: {type(text).__name__}. Type a few words."
            )
        return [model.attack_text(text, num_substitutions) for model in self._models]


class _AttackedModel:
    """One model with its gallery and its attacks, compiled on first use."""

    def __init__(self, title, model, names, pictures, num_steps, seed):
        self.title = title
        self.model = model
        self.names = names
        self.clean = {kind: QueryEncoder(model, kind) for kind in ("images", "texts")}
        self.gallery = self._embed_gallery(pictures)
        # One compiled attack for all budgets: the scale is a weight.
        self.pgd = PGD(MAX_EPSILON / 255, num_steps, seed=seed)
        attacks = {count: _substitution(count, seed) for count in range(1, MAX_SUBSTITUTIONS + 1)}
        self.image_encoder = self._attacked("images", self.pgd)
        self.text_encoders = {n: self._attacked("texts", a) for n, a in attacks.items()}

    def attack_image(self, contents, epsilon):
        self.pgd.epsilon_scale.assign(epsilon / MAX_EPSILON)
        images = self.model.preprocessor.load_images([contents])
        before, found = self._run("images", self.image_encoder, {"images": images})
        moved = np.asarray(found["adversarial_images"])[0]
        factor = 127 // max(epsilon, 1)
        return {
            "model": self.title,
            "before": before,
            "after": self._top(found["embeddings"]),
            "original": _png(images[0]),
            "attacked": _png(moved),
            "difference": _png(np.clip(0.5 + factor * (moved - images[0]), 0, 1)),
            "factor": factor,
        }

    def attack_text(self, text, count):
        preprocessor = self.model.preprocessor
        tokens = preprocessor.tokenize([text])
        before, found = self._run("texts", self.text_encoders[count], tokens)
        return {
            "model": self.title,
            "before": before,
            "after": self._top(found["embeddings"]),
            "original": preprocessor.detokenize(tokens["token_ids"])[0],
            "attacked": preprocessor.detokenize(found["adversarial_token_ids"])[0],
        }

    def _run(self, kind, encoder, batch):
        clean = self.clean[kind].predict_on_batch(batch)["embeddings"]
        positives = np.zeros((1, len(self.names)), bool)
        # One item must stay a negative, or there is nothing to be confused with.
        positives[0, self._order(clean)[: min(_TOP, len(self.names) - 1)]] = True
        found = encoder.predict_on_batch({**batch, "positives": positives})
        return self._top(clean), found

    def _attacked(self, kind, attack):
        ids = np.arange(len(self.names), dtype="int32")
        return QueryEncoder(self.model, kind, attack, _log_odds, self.gallery, ids)

    def _embed_gallery(self, pictures, batch_size=64):
        load, encoder = self.model.preprocessor.load_images, self.clean["images"]
        starts = range(0, len(pictures), batch_size)
        batches = (load(pictures[start : start + batch_size]) for start in starts)
        found = [encoder.predict_on_batch({"images": images})["embeddings"] for images in batches]
        return np.concatenate(found).astype("float32")

    def _order(self, embeddings):
        return np.argsort(-(self.gallery @ np.asarray(embeddings)[0]), kind="stable")

    def _top(self, embeddings):
        scores = self.gallery @ np.asarray(embeddings)[0]
        order = self._order(embeddings)[:_TOP]
        return [{"name": self.names[i], "score": round(float(scores[i]), 4)} for i in order]


def _log_odds(embeddings, target):
    """Orders as `contrastive` does, which is its softplus, and has a gradient everywhere.

    Where a model is very sure, `contrastive` is 0 in float32 and an attack stands still.
    """
    logits = target.scale * target.similarities(embeddings)
    wrong = ops.logsumexp(ops.where(target.positives, -1e9, logits), axis=-1)
    right = ops.logsumexp(ops.where(target.positives, logits, -1e9), axis=-1)
    return ops.reshape(wrong - right, (-1,))


def _substitution(count, seed):
    return TokenSubstitution(count, seed=seed, candidates=WholeWords())


def _png(pixels):
    image = tf.constant(np.round(pixels * 255).astype("uint8"))
    return base64.b64encode(tf.io.encode_png(image).numpy()).decode()


def _check_image(contents):
    try:
        header = read_header(io.BytesIO(contents))
    except ValueError as error:
        raise RequestError(f"The image cannot be read: {error}. Choose another.") from error
    if header.width * header.height > _MAX_PIXELS:
        raise RequestError(
            f"The image must have at most {_MAX_PIXELS:,} pixels. "
            f"Received: {header.width} x {header.height}. Make it smaller."
        )


def _check_number(name, value, largest, types):
    is_number = isinstance(value, types) and not isinstance(value, bool)
    if not is_number or not 0 < value <= largest:
        raise RequestError(
            f"'{name}' must be a number above 0, at most {largest}. "
            f"Received: {str(value)[:40]}. Choose one in between."
        )
