import keras

from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result


@keras.saving.register_keras_serializable(package="rocmr_keras")
class Both(Protocol):
    """Every text is attacked against the clean images, then every image against these texts.

    The attacked queries then search the attacked gallery. The order is that of multimodal
    adversarial training; directions within a modality are not reported.

    Reference:
        Zhang et al., "Towards Adversarial Attack on Vision-Language Pre-training Models"
        (Co-Attack), 2022 (arXiv:2206.09391).
    """

    name = "both"
    needs_both = True

    def run(self, bench, threat):
        texts, texts_stalled = bench.attack(
            threat, "texts", bench.embeddings("images"), bench.relevance("text_to_image")
        )
        images, images_stalled = bench.attack(
            threat, "images", texts, bench.relevance("image_to_text")
        )
        rankings = {
            "image_to_text": bench.rank("image_to_text", queries=images, gallery=texts),
            "text_to_image": bench.rank("text_to_image", queries=texts, gallery=images),
        }
        return Result(rankings, {"images": images_stalled, "texts": texts_stalled})
