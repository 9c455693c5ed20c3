"""What joint attacks ask of a batch, each in a compiled step of its own."""

import keras
from keras import ops

from rocmr_keras.attacks.joint.group_batch import Galleries
from rocmr_keras.attacks.joint.group_batch import GroupBatch
from rocmr_keras.backend import AdversarialSteps


class CompiledGroups:
    """A `GroupBatch` of arrays, whose methods are compiled steps.

    A schedule asks for the same few things again and again. In one graph each time would be
    traced anew: on TensorFlow the graph of `Alternating` took five times as long to trace and
    optimise as to attack 16 groups. So the schedule runs in Python, and what it asks for is
    traced once for all batches of a shape.

    Args:
        steps: `GroupSteps`.
        batch: Dict of arrays, see `GroupBatch`.

    Attributes:
        seen: As that of `GroupBatch`, of arrays.
    """

    def __init__(self, steps, batch):
        self.steps = steps
        self.batch = batch
        self.seen = []

    def clean(self):
        return {"images": self.batch["images"], "token_ids": self.batch["token_ids"]}

    def attack_images(self, attack, objective, token_ids, scales=(1.0,), paired=False):
        def find(groups, given):
            return groups.attack_images(attack, objective, given["token_ids"], scales, paired)

        key = ("images", attack, objective, tuple(scales), paired)
        return self.steps.run(key, find, self.batch, {"token_ids": token_ids}, attack)

    def attack_texts(self, attack, objective, images):
        def find(groups, given):
            return groups.attack_texts(attack, objective, given["images"])

        key = ("texts", attack, objective)
        return self.steps.run(key, find, self.batch, {"images": images}, attack)

    def encode(self, state):
        def encode(groups, given):
            return groups.encode(given)

        return self.steps.run("encode", encode, self.batch, state)

    def losses(self, state, objective="margin"):
        def losses(groups, given):
            return groups.losses_of(given["images"], given["texts"], objective)

        given = dict(zip(("images", "texts"), self.encode(state)))
        return self.steps.run(("losses", objective), losses, self.batch, given)

    def keep_better(self, best, best_losses, state, objective="margin"):
        def keep(groups, given):
            kept = groups.keep_better(
                given["best"], given["best_losses"], given["state"], objective
            )
            return *kept, groups.seen[-1]

        given = {"best": best, "best_losses": best_losses, "state": state}
        kept, losses, seen = self.steps.run(("keep", objective), keep, self.batch, given)
        self.seen.append(seen)
        return kept, losses


class GroupSteps:
    """The compiled steps of all batches of a search, made when they are asked for.

    Args:
        model: A `DualEncoder`.
        clean: `Galleries` of arrays, or anything with its attributes.
        num_groups: Integer, groups in a batch.
        run_eagerly: Boolean, whether nothing is compiled. Defaults to `None`, what Keras does.
    """

    def __init__(self, model, clean, num_groups, run_eagerly=None):
        self.model = model
        self.galleries = GalleryWeights(clean)
        self.num_groups = num_groups
        self.run_eagerly = run_eagerly
        self._steps = {}

    def __len__(self):
        return len(self._steps)

    def run(self, key, function, batch, given, attack=None):
        """Runs a function of a `GroupBatch` and a dict of tensors.

        Args:
            key: Hashable, what tells this function from the others. It holds what the function
                depends on, so that no other object can take its place.
            function: Callable from a `GroupBatch` and `given`, as tensors, to tensors.
            batch: Dict of arrays, see `GroupBatch`.
            given: Nested dict of arrays.
            attack: The `Attack` that the function runs, whose draws and counts go on. Defaults
                to `None`.

        Returns:
            What the function returns, as arrays.
        """
        if key not in self._steps:
            step = GroupStep(self.model, self.galleries, self.num_groups, function, attack)
            if self.run_eagerly is not None:
                step.run_eagerly = self.run_eagerly
            self._steps[key] = step
        return self._steps[key].predict_on_batch({"batch": batch, "given": given})["found"]


class GalleryWeights(keras.layers.Layer):
    """`Galleries` as weights, not Python arrays: compiled steps do not embed them."""

    def __init__(self, clean):
        super().__init__(autocast=False)
        values = [getattr(clean, name) for name in Galleries._fields]
        self.galleries = Galleries(*map(self._constant, values))
        self.built = True

    def _constant(self, value):
        dtype = "float32" if value.ndim == 2 else "int32"
        weight = self.add_weight(shape=value.shape, dtype=dtype, trainable=False)
        weight.assign(value)
        return weight


class GroupStep(AdversarialSteps, keras.Model):
    """A function of a `GroupBatch` as a `keras.Model`, which Keras compiles."""

    def __init__(self, model, weights, num_groups, function, attack):
        # Under a mixed policy Keras would else cast images to half precision on entry.
        super().__init__(autocast=False)
        self.dual_encoder = model
        self.gallery_weights = weights
        self.num_groups = num_groups
        self.function = function
        # An attribute, for Keras to find the weights that it writes to.
        self.attack = attack
        self.built = True
        self.compile()

    def perturb(self, data, training=False):
        data, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        data = keras.tree.map_structure(ops.convert_to_tensor, data)
        galleries = Galleries(*map(ops.convert_to_tensor, self.gallery_weights.galleries))
        groups = GroupBatch(self.dual_encoder, data["batch"], galleries, self.num_groups)
        # A dict: of a tuple Keras would take the rest for targets.
        return {"found": self.function(groups, data["given"])}

    def call(self, found):
        # `perturb`, which runs before Keras's own step, has computed it already.
        return found
