import numpy as np
from keras import ops

from rocmr_keras.attacks import Corruption
from rocmr_keras.attacks import corruptions
from rocmr_keras.evaluation import EncodedSplit
from rocmr_keras.evaluation import Threat
from rocmr_keras.evaluation import encode_attacked
from rocmr_keras.evaluation import evaluate


def test_corrupted_images_are_encoded(colour_model, colour_split):
    """Batches of four; the last one is filled up. The seed counts, what was run before does not."""
    encoded = EncodedSplit(colour_model, colour_split, batch_size=4, verbose=0)
    images = colour_model.preprocessor.load_images(colour_split.images)
    attack = Corruption("grey", 4, seed=0)
    found = encode_attacked(encoded, "images", attack, queries=[6, 1, 0, 2, 5])
    expected = ops.convert_to_numpy(attack(images))[[6, 1, 0, 2, 5]]
    np.testing.assert_allclose(found["adversarial_images"], expected, atol=1e-6)
    embeddings = ops.convert_to_numpy(colour_model.encode_images(expected))
    np.testing.assert_allclose(found["embeddings"], embeddings, atol=1e-5)
    assert found["stalled_share"] == 0.0
    noise = Corruption("noise", 5, seed=0)
    first, second = (encode_attacked(encoded, "images", noise) for _ in range(2))
    np.testing.assert_array_equal(first["adversarial_images"], second["adversarial_images"])


def test_corruptions_are_threats_like_others(colour_model, colour_split):
    """Grey of severity 5 leaves nothing of colours, and much light, or little, not all."""
    kinds = ("brightness 5", "darkness 5", "grey 5", "blur 5", "jpeg 5")
    # All of them would be compiled for another shape.
    threats = {name: corruptions(5, seed=0)[name] for name in kinds}
    threats["gallery"] = Threat(Corruption("grey", 5), protocol="gallery")
    report = evaluate(colour_model, colour_split, threats, verbose=0)
    left = {
        name: run["image_to_text"]["recall_at_1"]
        for name, run in report["attacks"].items()
        if "image_to_text" in run
    }
    assert len(left) == 5 and report["clean"]["image_to_text"]["recall_at_1"] > 0.8
    assert left["grey 5"] < 0.3 and max(left["brightness 5"], left["darkness 5"]) < 0.6
    # The mean colour survives what leaves the mean alone.
    assert left["blur 5"] == report["clean"]["image_to_text"]["recall_at_1"]
    budget = report["attacks"]["jpeg 5"]["budget"]["image_attack"]
    assert budget["kind"] == "jpeg" and budget["severity"] == 5
    assert "text_to_image" in report["attacks"]["gallery"]
