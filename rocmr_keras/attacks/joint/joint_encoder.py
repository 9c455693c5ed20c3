import keras
from keras import ops

from rocmr_keras.attacks.joint.group_batch import Scene
from rocmr_keras.backend import AdversarialSteps


class JointEncoder(AdversarialSteps, keras.Model):
    """Attacks groups of images and captions together and encodes what was found.

    A `keras.Model`, so that `predict_on_batch` runs the attack inside Keras's compiled
    step of the active backend.

    Args:
        model: A `DualEncoder`.
        attack: A `JointAttack`.
        gallery_images: Float array `(N, dim)`, clean embeddings.
        gallery_texts: Float array `(M, dim)`, clean embeddings.
        gallery_image_ids: Int array `(N,)`.
        gallery_text_ids: Int array `(M,)`.
        num_groups: Int, groups in a batch.

    Call arguments:
        batch: Dict, see `Scene`.

    Returns:
        Dict of `image_embeddings`, `text_embeddings`, `adversarial_images`,
        `adversarial_token_ids` and `losses` `(num_groups,)`.
    """

    def __init__(
        self,
        model,
        attack,
        gallery_images,
        gallery_texts,
        gallery_image_ids,
        gallery_text_ids,
        num_groups,
    ):
        super().__init__(autocast=False)
        self.dual_encoder = model
        self.attack = attack
        self.num_groups = num_groups
        galleries = (gallery_images, gallery_texts, gallery_image_ids, gallery_text_ids)
        self.galleries = [self._constant(value) for value in galleries]
        self.built = True
        self.compile()

    def perturb(self, data, training=False):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        batch = keras.tree.map_structure(ops.convert_to_tensor, batch)
        galleries = [ops.convert_to_tensor(value) for value in self.galleries]
        scene = Scene(self.dual_encoder, batch, *galleries, self.num_groups)
        found, losses = self.attack.attack(scene)
        return {
            "image_embeddings": scene.encode_images(found["images"]),
            "text_embeddings": scene.encode_texts(found["token_ids"]),
            "adversarial_images": found["images"],
            "adversarial_token_ids": found["token_ids"],
            "losses": losses,
        }

    def call(self, found):
        return found

    def _constant(self, value):
        dtype = "float32" if value.ndim == 2 else "int32"
        weight = self.add_weight(shape=value.shape, dtype=dtype, trainable=False)
        weight.assign(value)
        return weight
