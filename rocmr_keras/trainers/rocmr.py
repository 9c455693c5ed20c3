import functools
import inspect

import keras
from keras import ops

from rocmr_keras import losses
from rocmr_keras.backend import AdversarialSteps
from rocmr_keras.backend import build_optimizer
from rocmr_keras.backend import is_part
from rocmr_keras.backend import process
from rocmr_keras.backend import share
from rocmr_keras.trainers import checks
from rocmr_keras.trainers import frozen_sides
from rocmr_keras.trainers import objective
from rocmr_keras.trainers import reference as reference_module
from rocmr_keras.trainers import streams
from rocmr_keras.trainers import terms as terms_module
from rocmr_keras.trainers import views
from rocmr_keras.trainers.chunks import float_pixels
from rocmr_keras.trainers.device_checks import check_devices
from rocmr_keras.trainers.device_checks import check_rows
from rocmr_keras.trainers.fit_checks import check_fit
from rocmr_keras.trainers.gathering import StepsAcrossDevices
from rocmr_keras.trainers.gathering import gather_embeddings
from rocmr_keras.trainers.gathering import mean_of_all
from rocmr_keras.trainers.objective import batch_recall
from rocmr_keras.trainers.terms import adversarial_view
from rocmr_keras.trainers.watched_steps import WatchedSteps
from rocmr_keras.trainers.watched_steps import check_non_finite
from rocmr_keras.trainers.watched_steps import later_callbacks


@keras.saving.register_keras_serializable(package="rocmr_keras")
class RoCMR(StepsAcrossDevices, AdversarialSteps, keras.Model):
    """Adversarial training of a dual encoder on clean and attacked images and texts.

    Each step first attacks the images and the texts of the batch, then takes Keras's own
    training step on a weighted sum of contrastive losses. So `compile()` and `fit()` work
    as for any Keras model, with loss scaling, gradient accumulation, EMA and callbacks. In
    `evaluate` and in validation every attack given is run, even if the training terms do
    not use it.

    The preset `"rocmr"` is a reconstruction from what the paper publishes; weights and
    budgets are ours. The other presets are related defences from the literature. `"fare"`
    and `"leaf"` fine-tune a single tower without pairs, so that its embeddings under attack
    stay close to those of a frozen reference. The tower can then replace the original one
    elsewhere. The rest of the model must be frozen, see `DualEncoder.freeze`.

    Args:
        model: A `rocmr_keras.models.DualEncoder`, or anything with its methods.
        image_attack: An `Attack` on images, e.g. `PGD`, or `None`. Defaults to `None`.
        text_attack: An `Attack` on texts, e.g. `EmbeddingPGD`, `TokenSubstitution` or
            `CharacterChoice`, or `None`. Defaults to `None`.
        terms: Preset name (`"rocmr"`, `"standard"`, `"rocmr_image_only"`,
            `"rocmr_text_only"`, `"tecoa"`, `"mmcoa"`, `"mat"`, `"fare"`, `"leaf"`,
            `"villa"`), dict of weights or `Terms`. Defaults to `"rocmr"`.
        loss: String or callable, see `rocmr_keras.losses.get`. Defaults to
            `"symmetric_softmax"`.
        attack_objective: String or callable, see `rocmr_keras.attacks.objectives.get`, or
            `None`: the distance to the reference, on embeddings that are not
            normalised, for a view of which the terms take no more than that, and else
            `"contrastive"`. Defaults to `None`.
        reference: A dual encoder that distances are measured to. It is frozen. Defaults
            to `None`: where the terms have a distance, a copy of `model` as it is now.
        non_finite: `"stop"` or `"skip"`, what follows a step whose loss, or a weight after it,
            is not finite. `fit` ends with the number of the step and its examples, or undoes
            the step, says so and goes on. Defaults to `"stop"`.
        chunk_size: Integer, the most pairs that are attacked and encoded at a time, for
            batches larger than memory, or `None`, all. The step is that of the whole batch,
            and costs one more forward pass. Dropout draws other masks. Defaults to `None`.

    Call arguments:
        batch: Dict with `images` `(batch, height, width, channels)`, float in [0, 1] or uint8,
            of which `chunk_size` makes floats some rows at a time,
            `token_ids` integer `(batch, length)`, `padding_mask` boolean `(batch, length)`,
            and optionally `image_ids` integer `(batch,)`: pairs of equal id are
            positives of each other.
        training: Boolean.

    Returns:
        Dict of float tensors `(batch, dim)`: `image_embeddings`, `text_embeddings`,
        `adversarial_image_embeddings`, `adversarial_text_embeddings`, as far as they are
        needed; the same names after `unnormalized_` where a distance is measured.

    Raises:
        ValueError: If the terms need an attack that is not given, an attack does
            not fit its side or does not start at random where it must, the reference
            shares weights with the model, weights are trainable that the terms do
            not train, `non_finite` is unknown, or `chunk_size` is not positive. In a step
            with `chunk_size`, if batch normalisation is not frozen: live statistics of
            chunks would be another objective.

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
        - [Zhang, Sun and Zhao, 2022](https://pure.ecnu.edu.cn/en/publications/robust-cross-modal-retrieval-by-adversarial-training/),
          "Robust Cross-Modal Retrieval by Adversarial Training", IJCNN
        - [Gao et al., 2021](https://arxiv.org/abs/2101.06983), "Scaling Deep Contrastive
          Learning Batch Size under Memory Limited Setup", of which `chunk_size` is a form
    """

    encode_frozen_once = True

    def __init__(
        self,
        model,
        image_attack=None,
        text_attack=None,
        terms="rocmr",
        loss="symmetric_softmax",
        attack_objective=None,
        reference=None,
        non_finite="stop",
        chunk_size=None,
        **kwargs,
    ):
        # Under a mixed policy Keras would else cast images to half precision on entry;
        # what the towers compute in is their own policy.
        super().__init__(autocast=False, **kwargs)
        self.dual_encoder = model
        self.image_attack = image_attack
        self.text_attack = text_attack
        self.terms = terms_module.get(terms)
        self.retrieval_loss = losses.get(loss)
        self.attack_objective = attack_objective
        checks.check_attacks(self.terms, self._attacks())
        for side, attack in self._attacks().items():
            if attack and self._attack_objective(side) is None:
                checks.check_random_start(attack)
        checks.check_frozen(self.terms, model)
        self.reference = self._make_reference(reference)
        check_non_finite(non_finite)
        self.non_finite = non_finite
        self.undoes_steps = non_finite == "skip"
        checks.check_chunk_size(chunk_size)
        self.chunk_size = chunk_size
        self._stretch = streams.Stretch()
        self.recall_tracker = keras.metrics.Mean(name="recall_at_1")
        self.adversarial_recall_tracker = keras.metrics.Mean(name="adversarial_recall_at_1")
        # The towers are built: Keras need not trace a call to find that out.
        self.built = True

    def _make_reference(self, reference):
        refers = self.terms.refers("images") or self.terms.refers("texts")
        if reference is None:
            return reference_module.frozen_copy(self.dual_encoder) if refers else None
        checks.check_reference(reference, self.dual_encoder)
        return reference_module.as_frozen(reference)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        call = inspect.signature(super().fit).bind(*args, **kwargs)
        check_fit(self, call.arguments)
        data = call.arguments.get("x")
        numbers = {name: call.arguments.get(name) or 0 for name in ("initial_epoch", "epochs")}
        numbers["step of the data"] = getattr(data, "step", 0)
        check_devices(self, data, call.arguments.get("batch_size"), numbers)
        check_devices(self, call.arguments.get("validation_data"))
        stretch = streams.replace_training_data(
            call.arguments, functools.partial(self._encode_once, call.arguments)
        )
        later_callbacks(stretch, self, call.arguments)
        self._stretch = stretch
        try:
            history = super().fit(*call.args, **call.kwargs)
        finally:
            self._stretch = streams.Stretch()
        stretch.count(len(self.history.epoch))
        return history

    def _encode_once(self, arguments, data, start, stop):
        if not self.encode_frozen_once:
            return {}
        if process()[1] > 1:
            # By the weights that training begins with: all processes take those of the first.
            self.make_train_function()
        verbose = arguments.get("verbose", "auto")
        return frozen_sides.encode_once(self.dual_encoder, self.terms, data, start, stop, verbose)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args, **kwargs):
        call = inspect.signature(super().evaluate).bind(*args, **kwargs)
        check_devices(self, call.arguments.get("x"), call.arguments.get("batch_size"))
        streams.replace_data(call.arguments)
        return super().evaluate(*call.args, **call.kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, *args, **kwargs):
        call = inspect.signature(super().predict).bind(*args, **kwargs)
        check_devices(self, call.arguments.get("x"), call.arguments.get("batch_size"))
        streams.replace_data(call.arguments)
        return super().predict(*call.args, **call.kwargs)

    def perturb(self, data, training):
        """Returns the batch with adversarial views and what they are compared with."""
        batch = dict(self._unpack(data))
        check_rows(batch)
        if self.chunk_size is None:
            batch = float_pixels(batch)
        batch |= views.refer(self.reference, self.terms, batch, self.chunk_size)
        attacks = {
            side: attack
            for side, attack in self._attacks().items()
            if attack and (not training or self.terms.attacks(side))
        }
        climbed = {side: self._attack_objective(side) for side in attacks}
        options = {"text_first": self.terms.text_first, "chunk_size": self.chunk_size}
        return views.perturb(self.dual_encoder, attacks, climbed, batch, **options)

    def call(self, batch, training=False):
        constant = training and self.terms.constant_clean_images

        def encodes(view):
            known = constant and view == "image_embeddings"
            return not known and (not training or self.terms.uses(view))

        parts = self.dual_encoder, self.terms, batch
        found = views.encode_views(*parts, encodes, training, self.chunk_size)
        if constant:
            found["image_embeddings"] = ops.stop_gradient(batch["clean_image_embeddings"])
        return found

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        parts = self.dual_encoder, self.terms, self.retrieval_loss
        compared = gather_embeddings(x, y_pred)
        total = objective.total_loss(*parts, *compared, self.chunk_size)
        # What towers give to `add_loss` may be in half precision.
        for extra in self.losses:
            total += ops.cast(extra, total.dtype)
        return share(total)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        ids, found = gather_embeddings(x, y_pred)
        images, texts = (
            found.get(name, found.get(f"clean_{name}"))
            for name in ("image_embeddings", "text_embeddings")
        )
        moved_images, moved_texts = (
            found.get(adversarial_view(side)) for side in ("images", "texts")
        )
        # Only the direction whose queries were attacked counts as adversarial.
        compared = [
            (self.recall_tracker, images, texts),
            (self.recall_tracker, texts, images),
            (self.adversarial_recall_tracker, moved_images, texts),
            (self.adversarial_recall_tracker, moved_texts, images),
        ]
        known = [each for each in compared if all(part is not None for part in each)]
        recalls = batch_recall([pair for _, *pair in known], ids, self.chunk_size)
        for (tracker, *_), recall in zip(known, recalls):
            tracker.update_state(recall)
        logs = self.get_metrics_result()
        if is_part():
            logs |= {each.name: mean_of_all(each) for each in self.metrics if each.name == "loss"}
        measured = [tracker for tracker, *_ in known]
        for tracker in (self.recall_tracker, self.adversarial_recall_tracker):
            if tracker not in measured:
                # No number, rather than a zero.
                logs.pop(tracker.name)
        return logs

    def make_train_function(self, force=False):
        # Slots that the first step made would have TensorFlow trace the step a second time.
        if self.optimizer is not None and not self.optimizer.built:
            build_optimizer(self)
        super().make_train_function(force=force)
        if not isinstance(self.train_function, WatchedSteps):
            self.train_function = WatchedSteps(
                self.train_function, self.non_finite, self.steps_per_execution
            )
        self.train_function.begin(self._stretch)

    @property
    def resumes_within_epochs(self):
        """Boolean, whether the `fit` that runs could go on in the middle of an epoch."""
        return self._stretch.resumes_within_epochs

    def _attacks(self):
        return {"images": self.image_attack, "texts": self.text_attack}

    def _attack_objective(self, side):
        """Returns what an attack climbs: `None` is the distance to the reference."""
        view = adversarial_view(side)
        anchored = self.terms.measures(view) and not self.terms.retrieves(view)
        return self.attack_objective or (None if anchored else "contrastive")

    def _unpack(self, data):
        batch, *others = keras.utils.unpack_x_y_sample_weight(data)
        checks.check_batch(data, batch, others)
        return keras.tree.map_structure(ops.convert_to_tensor, batch)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()
        config.update(
            {
                "model": serialize(self.dual_encoder),
                "image_attack": serialize(self.image_attack),
                "text_attack": serialize(self.text_attack),
                "terms": self.terms.get_config(),
                "loss": serialize(self.retrieval_loss),
                "attack_objective": serialize(self.attack_objective),
                "reference": serialize(self.reference),
                "non_finite": self.non_finite,
                "chunk_size": self.chunk_size,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("model", "image_attack", "text_attack", "loss", "reference"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        climbed = config["attack_objective"]
        if not isinstance(climbed, str):
            climbed = keras.saving.deserialize_keras_object(climbed)
        return cls(**{**config, "attack_objective": climbed})
