import keras
import pytest

from rocmr_keras import models


class Preprocessor:
    vocabulary_size = 49408
    sequence_length = 77
    image_size = (224, 224)
    special_token_ids = ()


@pytest.fixture
def build_without_memory():
    def build(*args, **kwargs):
        with keras.StatelessScope(initialize_variables=False):
            return models.build(*args, **kwargs)

    yield build
    # Otherwise the next scope of anybody would fill the variables after all.
    keras.utils.clear_session()


@pytest.mark.parametrize("image_tower", ["cnn", "vit"])
def test_sizes_grow(image_tower, build_without_memory):
    counts = [
        build_without_memory(size, Preprocessor(), image_tower).count_params()
        for size in models.SIZES
    ]
    assert counts == sorted(counts)
    assert counts[0] < 10e6


def test_the_largest_has_the_dimensions_of_clip(build_without_memory):
    model = build_without_memory("clip_b32", Preprocessor(), "vit", use_logit_bias=True)
    assert len(model.image_encoder.blocks) == len(model.text_encoder.blocks) == 12
    assert model.image_encoder.position_embedding.sequence_length == 49
    assert model.text_encoder.embedding_table.shape == (49408, 512)
    # CLIP's 151,277,313, less class token, its position and the norm before
    # the blocks, plus the bias of the patches and that of the logits.
    assert model.count_params() == 151_277_313 - 2 * 768 - 2 * 768 + 768 + 1


def test_tiny():
    class Small(Preprocessor):
        vocabulary_size = 20

    model = models.build("tiny", Small(), dropout=0.1)
    specs = {
        "images": keras.KerasTensor((None, 64, 64, 3)),
        "token_ids": keras.KerasTensor((None, 77), "int32"),
        "padding_mask": keras.KerasTensor((None, 77), "bool"),
    }
    outputs = model.compute_output_spec(specs)
    assert outputs["image_embeddings"].shape == outputs["text_embeddings"].shape == (None, 128)
    assert model.image_encoder.count_params() == 500_128
    assert model.text_encoder.dropout == 0.1


@pytest.mark.parametrize("arguments", [("huge", "cnn"), ("tiny", "mlp")])
def test_bad_arguments(arguments):
    size, image_tower = arguments
    with pytest.raises(ValueError, match=f"Received: size='{size}', image_tower='{image_tower}'"):
        models.build(size, Preprocessor(), image_tower)
