import keras
from keras import ops

from rocmr_keras import losses
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import encode_adversarial_texts
from rocmr_keras.attacks import perturb_images
from rocmr_keras.attacks import perturb_texts
from rocmr_keras.backend import AdversarialSteps
from rocmr_keras.backend import discard_updates
from rocmr_keras.trainers import terms as terms_module
from rocmr_keras.trainers.recall import batch_recall


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RoCMR(AdversarialSteps, keras.Model):
    """Robust training of a dual encoder: benign and adversarial pairs, both modalities.

    Each step first attacks the images and the texts of the batch, then takes Keras's
    own training step on the weighted terms of one contrastive objective. So
    `compile()` and `fit()` work as for any Keras model, with loss scaling, gradient
    accumulation, EMA, callbacks and so on. In `evaluate` and in validation every
    attack given is run, also where the training terms do not use it.

    This is a reconstruction from what is public of the paper; weights and budgets are
    ours. The other presets are relatives of it from the literature.

    Args:
        model: A `rocmr_keras.models.DualEncoder`, or anything with its methods.
        image_attack: An attack of modality `"images"`, e.g. `PGD`, or `None`.
            Defaults to `None`.
        text_attack: An attack of modality `"embeddings"` or `"tokens"`, e.g.
            `EmbeddingPGD` or `TokenSubstitution`, or `None`. Defaults to `None`.
        terms: Preset name (`"rocmr"`, `"standard"`, `"rocmr_image_only"`,
            `"rocmr_text_only"`, `"tecoa"`, `"mmcoa"`, `"mat"`), dict of weights or
            `Terms`. Defaults to `"rocmr"`.
        loss: Name or callable, see `rocmr_keras.losses.get`. Defaults to
            `"symmetric_softmax"`.
        attack_objective: Name or callable, see `rocmr_keras.attacks.objectives.get`.
            Defaults to `"contrastive"`.

    Call arguments:
        batch: Dict with `images` float `(batch, height, width, channels)` in [0, 1],
            `token_ids` int `(batch, length)`, `padding_mask` bool `(batch, length)`,
            and optionally `image_ids` int `(batch,)`: pairs of equal id are
            positives of each other.
        training: Bool.

    Returns:
        Dict of embeddings `(batch, dim)`: `images`, `texts`, `adversarial_images`,
        `adversarial_texts`, as far as they are needed.

    Raises:
        ValueError: If the terms need an attack that is not given, or an attack is of
            the wrong modality.

    Example:

    ```python
    trainer = RoCMR(
        model,
        image_attack=PGD(epsilon=4 / 255, num_steps=2, keep_best=False),
        text_attack=EmbeddingPGD(epsilon=0.3, num_steps=2, keep_best=False),
    )
    trainer.compile(keras.optimizers.AdamW(3e-4))
    trainer.fit(batches, epochs=20)
    ```

    Reference:
        Zhang, Sun, Zhao, "Robust Cross-Modal Retrieval by Adversarial Training",
        IJCNN 2022.
    """

    def __init__(
        self,
        model,
        image_attack=None,
        text_attack=None,
        terms="rocmr",
        loss="symmetric_softmax",
        attack_objective="contrastive",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.dual_encoder = model
        self.image_attack = image_attack
        self.text_attack = text_attack
        self.terms = terms_module.get(terms)
        self.retrieval_loss = losses.get(loss)
        self.attack_objective = attack_objective
        self._check_attacks()
        self.recall_tracker = keras.metrics.Mean(name="recall_at_1")
        self.adversarial_recall_tracker = keras.metrics.Mean(
            name="adversarial_recall_at_1"
        )
        self.built = True

    def perturb(self, data, training):
        """Returns the batch with adversarial views and the clean embeddings added."""
        batch = self._unpack(data)
        attacks_images = self._attacks("images", self.image_attack, training)
        attacks_texts = self._attacks("texts", self.text_attack, training)
        if not (attacks_images or attacks_texts):
            return batch
        with discard_updates():
            clean = self.dual_encoder(batch, training=False)
        images, texts = clean["image_embeddings"], clean["text_embeddings"]
        batch = {**batch, "clean_images": images, "clean_texts": texts}
        if attacks_texts:
            batch = {**batch, **self._attack_texts(batch, images, texts)}
        if attacks_images:
            if self.terms.text_first and attacks_texts:
                with discard_updates():
                    texts = encode_adversarial_texts(self.dual_encoder, batch)
            found = self._attack_images(batch, images, texts)
            batch = {**batch, "adversarial_images": found}
        return batch

    def call(self, batch, training=False):
        model = self.dual_encoder
        views = {}
        if self._encodes("images", training):
            views["images"] = model.encode_images(batch["images"], training=training)
        if self._encodes("texts", training):
            views["texts"] = model.encode_texts(
                batch["token_ids"], batch["padding_mask"], training=training
            )
        # Two passes for clean and adversarial, not one of twice the size: faster on
        # CPUs, and their batch statistics stay apart.
        if "adversarial_images" in batch:
            views["adversarial_images"] = model.encode_images(
                batch["adversarial_images"], training=training
            )
        if "adversarial_token_ids" in batch or "text_perturbation" in batch:
            views["adversarial_texts"] = encode_adversarial_texts(
                model, batch, training=training
            )
        return views

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        positives = _positives(x)
        scale, bias = self.dual_encoder.scale(), self.dual_encoder.bias()
        blocks = self._similarity_blocks(y_pred)
        total = 0.0
        for weight, rows, columns in self.terms.blocks():
            if weight and (rows, columns) in blocks:
                block = blocks[rows, columns]
                total += weight * self.retrieval_loss(block, positives, scale, bias)
        for extra in self.losses:
            total += ops.cast(extra, total.dtype)
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        positives = _positives(x)
        images = y_pred.get("images", x.get("clean_images"))
        texts = y_pred.get("texts", x.get("clean_texts"))
        clean = batch_recall(images, texts, positives)
        self.recall_tracker.update_state(clean[0])
        self.recall_tracker.update_state(clean[1])
        attacked = []
        if "adversarial_images" in y_pred:
            attacked += batch_recall(y_pred["adversarial_images"], texts, positives)[:1]
        if "adversarial_texts" in y_pred:
            attacked += batch_recall(images, y_pred["adversarial_texts"], positives)[1:]
        for recall in attacked:
            self.adversarial_recall_tracker.update_state(recall)
        logs = self.get_metrics_result()
        if not attacked:
            # Nothing was measured: no number, rather than a zero.
            logs.pop(self.adversarial_recall_tracker.name)
        return logs

    def _attack_images(self, batch, images, texts):
        target = self._target(batch, gallery=texts, clean=images)
        return perturb_images(
            self.dual_encoder,
            self.image_attack,
            batch["images"],
            target,
            self.attack_objective,
        )

    def _attack_texts(self, batch, images, texts):
        target = self._target(batch, gallery=images, clean=texts)
        return perturb_texts(
            self.dual_encoder, self.text_attack, batch, target, self.attack_objective
        )

    def _target(self, batch, gallery, clean):
        return Target(
            gallery=gallery,
            positives=_positives(batch),
            scale=self.dual_encoder.scale(),
            clean=clean,
            symmetric=True,
        )

    def _similarity_blocks(self, views):
        """Returns the blocks of one similarity matrix by `(row view, column view)`."""
        rows = [name for name in ("images", "adversarial_images") if name in views]
        columns = [name for name in ("texts", "adversarial_texts") if name in views]
        matrix = self.dual_encoder.similarity(
            ops.concatenate([views[name] for name in rows]),
            ops.concatenate([views[name] for name in columns]),
        )
        blocks = {}
        for name, part in zip(rows, ops.split(matrix, len(rows), axis=0)):
            for other, block in zip(columns, ops.split(part, len(columns), axis=1)):
                blocks[name, other] = block
        for weight, *pair in self.terms.blocks()[4:]:
            if weight and all(name in views for name in pair):
                first, second = (views[name] for name in pair)
                blocks[tuple(pair)] = self.dual_encoder.similarity(first, second)
        return blocks

    def _attacks(self, modality, attack, training):
        used = not training or self.terms.uses(f"adversarial_{modality}")
        return attack is not None and used

    def _encodes(self, view, training):
        return not training or self.terms.uses(view)

    def _unpack(self, data):
        batch, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not isinstance(batch, dict) or y is not None or sample_weight is not None:
            raise ValueError(
                "RoCMR takes batches that are one dict, without targets or sample "
                f"weights: the pairs are the supervision. Received: {_describe(data)}. "
                "Call `fit(dataset_of_dicts)` or `fit(dict_of_arrays)`."
            )
        return keras.tree.map_structure(ops.convert_to_tensor, batch)

    def _check_attacks(self):
        expected = {
            "images": (self.image_attack, "image_attack", ("images",)),
            "texts": (self.text_attack, "text_attack", ("embeddings", "tokens")),
        }
        for view, (attack, name, modalities) in expected.items():
            if attack is None and self.terms.uses(f"adversarial_{view}"):
                raise ValueError(
                    f"The terms train on adversarial {view} and need `{name}`. "
                    f"Received: {name}=None, terms={self.terms.get_config()}. "
                    "Pass an attack, or choose terms that do without."
                )
            if attack is not None and attack.modality not in modalities:
                raise ValueError(
                    f"`{name}` must perturb one of {modalities}. Received: "
                    f"{type(attack).__name__}, which perturbs {attack.modality!r}. "
                    "Choose an attack that fits."
                )

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "model": serialize(self.dual_encoder),
            "image_attack": serialize(self.image_attack),
            "text_attack": serialize(self.text_attack),
            "terms": self.terms.get_config(),
            "loss": serialize(self.retrieval_loss),
            "attack_objective": serialize(self.attack_objective),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("model", "image_attack", "text_attack", "loss"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        objective = config["attack_objective"]
        if not isinstance(objective, str):
            objective = keras.saving.deserialize_keras_object(objective)
        return cls(**{**config, "attack_objective": objective})


def _positives(batch):
    """Returns who belongs together, bool `(batch, batch)`: equal ids, else the diagonal."""
    if "image_ids" in batch:
        ids = batch["image_ids"]
    else:
        ids = ops.arange(ops.shape(batch["token_ids"])[0])
    return ops.expand_dims(ids, 1) == ids


def _describe(data):
    parts = data if isinstance(data, tuple) else (data,)
    return "(" + ", ".join(type(part).__name__ for part in parts) + ")"
