import json

import numpy as np
import pytest
from keras import ops

from rocmr_keras.models import DualEncoder
from rocmr_keras.models.hub import huggingface

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="needs the package safetensors")

WIDTH, HIDDEN, PATCH, SIZE, WORDS, LENGTH = 8, 12, 4, 8, 20, 6
TOWER = {
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
CONFIGS = {
    family: {
        "model_type": family,
        "projection_dim": WIDTH,
        # Ids as in the published models; transformers pools CLIP's texts there.
        "text_config": {
            **TOWER,
            "vocab_size": WORDS,
            "max_position_embeddings": LENGTH,
            "bos_token_id": 18,
            "eos_token_id": 19,
            "pad_token_id": 1,
        },
        "vision_config": {**TOWER, "image_size": SIZE, "patch_size": PATCH},
    }
    for family in ("clip", "siglip")
}
TOKEN_IDS = {
    "clip": np.array([[18, 4, 5, 19, 0, 0], [18, 7, 19, 0, 0, 0]], "int32"),
    "siglip": np.array([[4, 5, 5, 1, 1, 1], [7, 1, 1, 1, 1, 1]], "int32"),
}
LENGTHS = {"clip": [4, 3], "siglip": [4, 2]}
PIXELS = np.random.RandomState(1).uniform(size=(2, SIZE, SIZE, 3)).astype("float32")


def block_shapes(name, width, hidden):
    shapes = {f"{name}.layer_norm{i}.{w}": (width,) for i in (1, 2) for w in ("weight", "bias")}
    for part in ("q", "k", "v", "out"):
        shapes[f"{name}.self_attn.{part}_proj.weight"] = (width, width)
        shapes[f"{name}.self_attn.{part}_proj.bias"] = (width,)
    return {**shapes, **mlp_shapes(name, width, hidden)}


def mlp_shapes(name, width, hidden):
    return {
        f"{name}.mlp.fc1.weight": (hidden, width),
        f"{name}.mlp.fc1.bias": (hidden,),
        f"{name}.mlp.fc2.weight": (width, hidden),
        f"{name}.mlp.fc2.bias": (width,),
    }


def norm_shapes(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def layout(family):
    """Names and shapes of the weights as transformers saves them."""
    patches = (SIZE // PATCH) ** 2
    shapes = {
        "logit_scale": (),
        "vision_model.embeddings.patch_embedding.weight": (WIDTH, 3, PATCH, PATCH),
        "text_model.embeddings.token_embedding.weight": (WORDS, WIDTH),
        "text_model.embeddings.position_embedding.weight": (LENGTH, WIDTH),
        **block_shapes("vision_model.encoder.layers.0", WIDTH, HIDDEN),
        **block_shapes("text_model.encoder.layers.0", WIDTH, HIDDEN),
        **norm_shapes("vision_model.post_layernorm", WIDTH),
        **norm_shapes("text_model.final_layer_norm", WIDTH),
    }
    if family == "clip":
        return {
            **shapes,
            "vision_model.embeddings.class_embedding": (WIDTH,),
            "vision_model.embeddings.position_embedding.weight": (patches + 1, WIDTH),
            **norm_shapes("vision_model.pre_layrnorm", WIDTH),
            "visual_projection.weight": (WIDTH, WIDTH),
            "text_projection.weight": (WIDTH, WIDTH),
        }
    head = "vision_model.head"
    return {
        **shapes,
        "logit_scale": (1,),
        "logit_bias": (1,),
        "vision_model.embeddings.patch_embedding.bias": (WIDTH,),
        "vision_model.embeddings.position_embedding.weight": (patches, WIDTH),
        f"{head}.probe": (1, 1, WIDTH),
        f"{head}.attention.in_proj_weight": (3 * WIDTH, WIDTH),
        f"{head}.attention.in_proj_bias": (3 * WIDTH,),
        f"{head}.attention.out_proj.weight": (WIDTH, WIDTH),
        f"{head}.attention.out_proj.bias": (WIDTH,),
        **norm_shapes(f"{head}.layernorm", WIDTH),
        **mlp_shapes(head, WIDTH, HIDDEN),
        "text_model.head.weight": (WIDTH, WIDTH),
        "text_model.head.bias": (WIDTH,),
    }


def make_state(family):
    random = np.random.RandomState(0)
    return {
        name: random.normal(scale=0.5, size=shape).astype("float32")
        for name, shape in sorted(layout(family).items())
    }


def write(folder, family, state=None):
    (folder / "config.json").write_text(json.dumps(CONFIGS[family]))
    state = make_state(family) if state is None else state
    safetensors_numpy.save_file(state, folder / "model.safetensors")
    return folder


# By transformers 5.23.0 with these weights, pixels and ids: unit vectors, first four numbers.
GOLDEN = {
    "clip": {
        "image_embeddings": [
            [0.27596, -0.124884, -0.527197, 0.17083],
            [0.257434, -0.116061, -0.527009, 0.132465],
        ],
        "text_embeddings": [
            [-0.228381, 0.033139, -0.609184, -0.003837],
            [-0.146657, -0.097404, -0.541381, -0.024761],
        ],
    },
    "siglip": {
        "image_embeddings": [
            [-0.109177, -0.664334, 0.084279, -0.33138],
            [-0.052938, -0.665202, 0.063862, -0.31658],
        ],
        "text_embeddings": [
            [-0.162704, -0.64704, 0.268257, -0.156171],
            [-0.106832, -0.68648, 0.248864, -0.165228],
        ],
    },
}


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_embeddings_are_those_of_transformers(family, tmp_path):
    model = DualEncoder.from_preset(write(tmp_path, family))
    mean, std = np.array(model.image_encoder.mean), np.array(model.image_encoder.std)
    images = (PIXELS * std + mean).astype("float32")
    mask = np.arange(LENGTH) < np.array(LENGTHS[family])[:, None]
    outputs = model({"images": images, "token_ids": TOKEN_IDS[family], "padding_mask": mask})
    for name in ("image_embeddings", "text_embeddings"):
        found = ops.convert_to_numpy(outputs[name])[:, :4]
        np.testing.assert_allclose(found, GOLDEN[family][name], atol=1e-5)
    scale = np.exp(make_state(family)["logit_scale"]).item()
    assert float(ops.convert_to_numpy(model.scale())) == pytest.approx(scale, rel=1e-5)
    assert model.preprocessor is None


def test_tokenizer_and_image_converter(tmp_path):
    write(tmp_path, "clip")
    pieces = [*"abcdefghijklmnop", "a</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>"]
    pieces[1] = "b</w>"
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges = [["a", "b</w>"]]
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({"model": {"vocab": vocabulary, "merges": merges}})
    )
    values = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25]}
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({**values, "resample": 3, "do_center_crop": True})
    )
    model = DualEncoder.from_preset(tmp_path)
    np.testing.assert_allclose(model.image_encoder.mean, values["image_mean"], rtol=1e-6)
    np.testing.assert_allclose(model.image_encoder.std, values["image_std"], rtol=1e-6)
    ours = model.preprocessor
    assert (ours.sequence_length, ours.image_size) == (LENGTH, (SIZE, SIZE))
    assert (ours.interpolation, ours.crop) == ("bicubic", True)
    row = ours.tokenize(["AB a"])["token_ids"][0]
    assert row.tolist() == [18, 17, 16, 19, 0, 0]
    # The same merges in the older pair of files.
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    assert huggingface.load_tokenizer(tmp_path).merges == ["a b</w>"]


def test_mistakes(tmp_path):
    write(tmp_path, "clip", {"logit_scale": np.zeros(())})
    with pytest.raises(ValueError, match="Received: 1 arrays without 'vision_model.embeddings"):
        DualEncoder.from_preset(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="must hold its weights in 'model.safetensors'"):
        DualEncoder.from_preset(tmp_path)
