import keras
from keras import ops

from rocmr_keras.attacks.final_settings import FinalSettings
from rocmr_keras.attacks.final_settings import constructor_arguments
from rocmr_keras.backend import gather
from rocmr_keras.backend import value_and_grad


class Attack(FinalSettings, keras.layers.Layer):
    """Base class of all attacks except those on strings.

    An attack's `call` knows neither the model nor the gallery. It gets the inputs and a
    function from inputs to one loss per example, larger being worse for the model, and
    returns perturbed inputs within its budget. To write your own, subclass one of
    `ImageAttack`, `EmbeddingAttack`, `TokenAttack` and `EditAttack`, which take the inputs
    out of a batch and feed them to the encoder. To attack anything else, subclass `Attack`,
    set `side` and implement `perturb`.

    Attacks compute in float32 whatever the precision of the model and have their own
    random seed. They cannot be changed after construction, since a compiled training step
    would keep the old setting. Only `epsilon_scale`, a non-trainable weight that multiplies
    the budget, may be changed by a schedule.

    Args:
        seed: Integer, the seed of the attack's draws; `None` draws one. Defaults to `None`.

    Attributes:
        side: `"images"` or `"texts"`, what is attacked.
        batch_keys: Tuple of strings, what it takes out of a batch.
        writes_text: Boolean, whether people can read what it makes of a text.
        scales_epsilon: Boolean, whether with `epsilon_scale` doubled it is the attack of twice
            its `epsilon`, so that one compiled step serves both.
        asks_model: Boolean, whether what it finds depends on the model. One of which it does not
            is run outside of the compiled step by evaluation.
        epsilon_scale: Scalar weight in [0, 1], starts at 1.
        stalled_share: Float, the share of gradients that were zero or not finite
            (such an example stays where it is) since `reset_counts`.
    """

    side = None
    batch_keys = ()
    writes_text = False
    scales_epsilon = False
    asks_model = True
    _also_final = frozenset({"name", "epsilon_scale"})
    _or_else = ", or schedule the budget through `epsilon_scale.assign(...)`"

    def __init__(self, seed=None, **kwargs):
        # Not the global policy: bfloat16 has steps of 1/256 near 1 and would swallow
        # perturbations, and with autocasting Keras would cast the inputs on entry.
        kwargs.setdefault("dtype", "float32")
        super().__init__(autocast=False, **kwargs)
        self.seed = seed
        # Its state is a weight, as are the counts: a compiled step can update weights only.
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.epsilon_scale = self._counter("epsilon_scale", "ones")
        self.stalled_gradients = self._counter("stalled_gradients", "zeros")
        self.total_gradients = self._counter("total_gradients", "zeros")
        # All weights exist: Keras need not look for more at the first call.
        self.built = True

    def __call__(self, *args, **kwargs):
        self._freeze_at_first_call()
        return super().__call__(*args, **kwargs)

    def perturb(self, model, batch, goal):
        """Attacks a batch as a model sees it.

        Args:
            model: A `DualEncoder`, or anything with its methods.
            batch: Dict with `batch_keys`.
            goal: A `Goal`.

        Returns:
            Dict of what is added to the batch: `adversarial_images`; or of texts either
            `text_perturbation`, or `adversarial_token_ids` and perhaps
            `adversarial_padding_mask`, see `encode_adversarial_texts`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must say how it attacks a batch: make it a subclass of "
            "ImageAttack, EmbeddingAttack, TokenAttack or EditAttack, or implement `perturb`."
        )

    def record(self, model, batch):
        """Returns a `RecordedEncoding` of the clean inputs, or `None` for an attack without.

        Args:
            model: As in `perturb`.
            batch: As in `perturb`.
        """
        return None

    def fresh(self):
        """Returns the same attack as it was when it was built: nothing drawn yet.

        Raises:
            ValueError: If the config lacks an argument of the constructor.
        """
        config = self.get_config()
        forgotten = sorted(constructor_arguments(type(self)) - {*config, "dtype", "trainable"})
        if forgotten:
            raise ValueError(
                "`get_config` must hold every argument of the constructor, or a copy has "
                f"another budget. Received: {type(self).__name__} without {forgotten}. Write "
                'e.g. `config.update({"epsilon": self.epsilon})`.'
            )
        return type(self).from_config(config)

    def describe(self):
        """Returns the budget as plain and short values, for a report."""
        # Keras numbers default names, so that two equal attacks have different ones.
        config = {name: value for name, value in self.get_config().items() if name != "name"}
        return keras.saving.serialize_keras_object(config)

    def _counter(self, name, initializer):
        # Each replica of TensorFlow would else be asked for a value of its own.
        options = {"trainable": False, "name": name, "aggregation": "only_first_replica"}
        return self.add_weight(shape=(), initializer=initializer, **options)

    @property
    def stalled_share(self):
        total = float(ops.convert_to_numpy(self.total_gradients))
        stalled = float(ops.convert_to_numpy(self.stalled_gradients))
        return stalled / total if total else 0.0

    def reset_counts(self):
        """Sets the counts behind `stalled_share` back to zero."""
        self.stalled_gradients.assign(0.0)
        self.total_gradients.assign(0.0)

    def count_gradients(self, stalled, total):
        """Adds to the counts behind `stalled_share`."""
        counts = ops.stack([ops.cast(stalled, "float32"), ops.cast(total, "float32")])
        counts = ops.sum(gather(ops.expand_dims(counts, 0)), axis=0)
        self.stalled_gradients.assign_add(counts[0])
        self.total_gradients.assign_add(counts[1])

    def get_config(self):
        config = super().get_config()
        # No settings of an attack: always float32, and without anything to train.
        config.pop("dtype", None)
        config.pop("trainable", None)
        config.update({"seed": self.seed})
        return config


def safe_gradient(loss_fn, inputs):
    """Returns losses, a gradient that is finite everywhere, and who is stalled.

    Args:
        loss_fn: Callable from inputs to losses `(batch,)`. It may have its own
            `value_and_grad(inputs)`, where some of that is known.
        inputs: Float tensor `(batch, ...)`.

    Returns:
        Tuple of losses `(batch,)`, gradient shaped like `inputs`, which is zero for an
        example whose magnitudes do not have a finite sum, and a float tensor `(batch,)`
        that is 1 where the gradient is zero or was not finite.
    """
    differentiate = getattr(loss_fn, "value_and_grad", None) or value_and_grad(loss_fn)
    losses, gradient = differentiate(inputs)
    # Token embeddings, and so their gradient, are in half precision under a mixed policy,
    # in which the sum below could overflow.
    gradient = ops.cast(gradient, "float32")
    # One sum tells both: it is zero for a zero gradient only, and finite for a finite one.
    axes = tuple(range(1, len(gradient.shape)))
    size = ops.sum(ops.abs(gradient), axis=axes)
    finite = ops.isfinite(size)
    gradient = where_example(finite, gradient, 0.0)
    moves = ops.logical_and(finite, size > 0.0)
    return losses, gradient, 1.0 - ops.cast(moves, "float32")


def keep_better(best, best_losses, candidate, candidate_losses):
    """Takes each example's candidate where its loss is higher.

    A loss that is not finite never wins.

    Returns:
        Tuple of the better inputs and their losses `(batch,)`.
    """
    # A NaN loses every comparison by itself; plus infinity would win for good.
    better = ops.logical_and(candidate_losses > best_losses, ops.isfinite(candidate_losses))
    kept = where_example(better, candidate, best)
    return kept, ops.where(better, candidate_losses, best_losses)


def where_example(condition, first, second):
    """Takes whole examples of `first` where `condition` `(batch,)` holds, else of `second`."""
    shape = (-1,) + (1,) * (len(first.shape) - 1)
    return ops.where(ops.reshape(condition, shape), first, second)


def finite_losses(losses):
    """Puts minus infinity, which every loss beats, in place of one that is not finite."""
    return ops.where(ops.isfinite(losses), losses, -float("inf"))
