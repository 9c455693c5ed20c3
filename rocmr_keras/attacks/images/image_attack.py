import functools

from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.recorded_encoding import EncodedLoss
from rocmr_keras.attacks.recorded_encoding import RecordedEncoding


class ImageAttack(Attack):
    """Base class of attacks on pixels. Subclasses implement `call(inputs, loss_fn)`.

    If a batch has `start_images`, `call` gets them as `start`, where the attack begins.

    Args:
        seed: Integer or `None`. Defaults to `None`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)` in [0, 1].
        loss_fn: Callable from such a tensor to losses `(batch,)`.

    Returns:
        Float32 tensor like `inputs`.

    Example:

    ```python
    class FGSM(rocmr_keras.attacks.ImageAttack):
        def call(self, inputs, loss_fn):
            _, gradient = rocmr_keras.attacks.value_and_grad(loss_fn)(inputs)
            step = 8 / 255 * self.epsilon_scale * keras.ops.sign(gradient)
            return keras.ops.clip(inputs + step, 0.0, 1.0)
    ```
    """

    side = "images"
    batch_keys = ("images",)

    def perturb(self, model, batch, goal):
        loss_fn = EncodedLoss(functools.partial(model.encode_images, **goal.encoding), goal)
        # Only some attacks have an argument `start`.
        start = {"start": batch["start_images"]} if "start_images" in batch else {}
        return {"adversarial_images": self(batch["images"], loss_fn=loss_fn, **start)}

    def record(self, model, batch):
        encode = functools.partial(model.encode_images, training=False)
        return RecordedEncoding(encode, batch["images"])
