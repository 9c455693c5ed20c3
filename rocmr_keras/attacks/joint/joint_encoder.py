import numpy as np

from rocmr_keras.attacks.joint.compiled_groups import CompiledGroups
from rocmr_keras.attacks.joint.compiled_groups import GroupSteps


class JointEncoder:
    """Attacks groups of images and captions together and encodes what was found.

    The schedule runs in Python, what it asks for in compiled steps, see `CompiledGroups`.

    Args:
        model: A `DualEncoder`.
        attack: A `JointAttack`.
        clean: `Galleries`, or anything with its attributes, such as
            `rocmr_keras.evaluation.Embeddings`.
        num_groups: Integer, groups in a batch.
        run_eagerly: Boolean, whether nothing is compiled, or `None` for what Keras does.
            Defaults to `None`.
    """

    def __init__(self, model, attack, clean, num_groups, run_eagerly=None):
        self.attack = attack
        self.steps = GroupSteps(model, clean, num_groups, run_eagerly)

    def predict_on_batch(self, batch):
        """Attacks a batch.

        Args:
            batch: Dict of arrays, see `GroupBatch`.

        Returns:
            Dict of arrays: `image_embeddings`, `text_embeddings`, `adversarial_images`,
            `adversarial_token_ids` and `losses` `(num_groups,)`; and `seen_image_embeddings`
            `(images, states, dim)` and `seen_text_embeddings`, of all states that the search
            has compared.
        """
        groups = CompiledGroups(self.steps, batch)
        found, losses = self.attack.attack(groups)
        images, texts = groups.encode(found)
        return {
            "image_embeddings": images,
            "text_embeddings": texts,
            "adversarial_images": found["images"],
            "adversarial_token_ids": found["token_ids"],
            "losses": losses,
            "seen_image_embeddings": np.stack([images for images, _ in groups.seen], axis=1),
            "seen_text_embeddings": np.stack([texts for _, texts in groups.seen], axis=1),
        }
