import keras
from keras import ops

from rocmr_keras.attacks.joint.group_batch import Galleries
from rocmr_keras.attacks.joint.group_batch import GroupBatch
from rocmr_keras.backend import AdversarialSteps


class JointEncoder(AdversarialSteps, keras.Model):
    """Attacks groups of images and captions together and encodes what was found.

    A `keras.Model`, so that `predict_on_batch` runs the attack inside Keras's compiled
    step of the active backend.

    Args:
        model: A `DualEncoder`.
        attack: A `JointAttack`.
        clean: `Galleries`, or anything with its attributes, such as
            `rocmr_keras.evaluation.Embeddings`.
        num_groups: Integer, groups in a batch.

    Call arguments:
        batch: Dict, see `GroupBatch`.

    Returns:
        Dict of `image_embeddings`, `text_embeddings`, `adversarial_images`,
        `adversarial_token_ids` and `losses` `(num_groups,)`; and `seen_image_embeddings`
        `(images, states, dim)` and `seen_text_embeddings`, of all states that the search has
        compared.
    """

    def __init__(self, model, attack, clean, num_groups):
        # Under a mixed policy Keras would else cast images to half precision on entry.
        super().__init__(autocast=False)
        self.dual_encoder = model
        self.attack = attack
        self.num_groups = num_groups
        values = (getattr(clean, name) for name in Galleries._fields)
        # Weights, not Python arrays: the compiled step does not embed them.
        self.galleries = Galleries(*map(self._constant, values))
        self.built = True
        self.compile()

    def perturb(self, data, training=False):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        batch = keras.tree.map_structure(ops.convert_to_tensor, batch)
        galleries = Galleries(*map(ops.convert_to_tensor, self.galleries))
        groups = GroupBatch(self.dual_encoder, batch, galleries, self.num_groups)
        found, losses = self.attack.attack(groups)
        return {
            "image_embeddings": groups.encode_images(found["images"]),
            "text_embeddings": groups.encode_texts(found["token_ids"]),
            "adversarial_images": found["images"],
            "adversarial_token_ids": found["token_ids"],
            "losses": losses,
            "seen_image_embeddings": ops.stack([images for images, _ in groups.seen], axis=1),
            "seen_text_embeddings": ops.stack([texts for _, texts in groups.seen], axis=1),
        }

    def call(self, found):
        # `perturb`, which runs before Keras's own step, has encoded the results already.
        return found

    def _constant(self, value):
        dtype = "float32" if value.ndim == 2 else "int32"
        weight = self.add_weight(shape=value.shape, dtype=dtype, trainable=False)
        weight.assign(value)
        return weight
