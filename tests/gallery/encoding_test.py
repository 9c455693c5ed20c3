import numpy as np
import pytest

from rocmr_keras.gallery.encoding import Tower
from rocmr_keras.gallery.encoding import encode_items


@pytest.mark.parametrize("modality", ["images", "texts"])
def test_batches_of_one_size_whatever_the_number_of_items(model, modality, monkeypatch):
    tower, sizes = Tower(model, modality), []
    predict = tower.predict_on_batch

    def spy(batch):
        array = batch["token_ids"] if modality == "texts" else batch
        sizes.append(len(array))
        return predict(batch)

    monkeypatch.setattr(tower, "predict_on_batch", spy)
    random = np.random.default_rng(0)
    images = random.random((5, *model.preprocessor.image_size, 3), "float32")
    texts = model.preprocessor.tokenize(["a", "b", "a b", "b a", "a a"])
    inputs = images if modality == "images" else texts
    found = encode_items(tower, inputs, 2)
    assert sizes == [2, 2, 2] and len(found) == 5 and found.dtype == np.float32
    np.testing.assert_allclose(found, encode_items(tower, inputs, 8), atol=1e-6)
    assert sizes[3:] == [8]
