import keras
import numpy as np
import pytest
from keras import ops

from rocmr_keras.attacks import EmbeddingPGD
from rocmr_keras.attacks import Goal
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.fine_tuning.blocks import set_trainable
from rocmr_keras.models import BackboneTextEncoder
from rocmr_keras.models import DualEncoder

TOKEN_IDS = np.array([[1, 5, 5, 9, 39, 0, 0, 0], [1, 7, 39, 0, 0, 0, 0, 0]], "int32")
MASK = TOKEN_IDS != 0
SPECIAL = (0, 1, 39)


def average(x):
    return (x * MASK[:, :, None]).sum(1) / MASK.sum(1)[:, None]


# Family, pooling, and the same pooling of the backbone's own outputs in NumPy.
FAMILIES = [
    ("clip_text", "end", lambda out: out[[0, 1], [4, 2]]),
    ("siglip_text", None, lambda out: out),
    ("bert", None, lambda out: average(out["sequence_output"])),
    ("bert", "pooled", lambda out: out["pooled_output"]),
    ("distil_bert", "cls", lambda out: out[:, 0]),
    ("roberta", "average", average),
    ("albert", "cls", lambda out: out["sequence_output"][:, 0]),
]


def to_numpy(x):
    if isinstance(x, dict):
        return {name: ops.convert_to_numpy(value) for name, value in x.items()}
    return ops.convert_to_numpy(x)


def run(net, token_ids=TOKEN_IDS, mask=MASK):
    inputs = {
        "token_ids": token_ids,
        "padding_mask": mask.astype("int32"),
        "segment_ids": np.zeros_like(token_ids),
    }
    return to_numpy(net({name: inputs[name] for name in net.input}))


@pytest.mark.parametrize("family, pooling, pool", FAMILIES)
def test_the_same_as_the_backbone_itself(backbone, family, pooling, pool):
    net = backbone(family)
    encoder = BackboneTextEncoder(net, pooling)
    expected = pool(run(net))
    outputs = encoder({"token_ids": TOKEN_IDS, "padding_mask": MASK})
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-5)
    rows = encoder.embed(TOKEN_IDS)
    table = to_numpy(encoder.embedding_table)
    np.testing.assert_array_equal(to_numpy(rows), table[TOKEN_IDS])
    assert encoder.projection_dim == expected.shape[1]
    assert len(encoder.weights) == len(net.weights)


class Preprocessor:
    special_token_ids = SPECIAL


def dual_encoder(encoder):
    images = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten()])
    return DualEncoder(images, encoder, Preprocessor(), projection_dim=4)


@pytest.mark.parametrize(
    "family, pooling", [("clip_text", "end"), ("siglip_text", None), ("bert", None)]
)
def test_attacks_leave_special_tokens_alone(backbone, family, pooling):
    model = dual_encoder(BackboneTextEncoder(backbone(family), pooling))
    batch = {
        "token_ids": ops.convert_to_tensor(TOKEN_IDS),
        "padding_mask": ops.convert_to_tensor(MASK),
    }
    clean = to_numpy(model.encode_texts(TOKEN_IDS, MASK))
    # Each text is attacked away from where it is.
    positives = ops.convert_to_tensor(np.eye(2, dtype="bool"))
    target = Target(ops.convert_to_tensor(clean), positives, 10.0)
    attackable = MASK & ~np.isin(TOKEN_IDS, SPECIAL)
    attack = EmbeddingPGD(epsilon=0.5, num_steps=1, random_start=False, keep_best=False)
    moved = to_numpy(attack.perturb(model, batch, Goal(target))["text_perturbation"])
    np.testing.assert_array_equal(np.abs(moved).max(-1) > 0, attackable)
    attack = TokenSubstitution(num_substitutions=1, num_candidates=4, seed=0)
    found = to_numpy(attack.perturb(model, batch, Goal(target))["adversarial_token_ids"])
    changed = found != TOKEN_IDS
    assert changed.any() and not (changed & ~attackable).any()
    assert not np.isin(found[changed], SPECIAL).any()


def test_the_first_step_of_adam_moves_repeated_rows_as_far_as_others(build_backbone):
    # By its learning rate, where the gradient of a row is dense.
    net = build_backbone("bert", dropout=0.0)
    encoder = BackboneTextEncoder(net)
    tables = net.token_embedding.embeddings, net.segment_embedding.embeddings
    before = [to_numpy(table) for table in tables]
    encoder.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    inputs = {"token_ids": TOKEN_IDS, "padding_mask": MASK}
    encoder.fit(inputs, np.eye(2, 16, dtype="float32"), verbose=0)
    tokens, segments = [np.abs(to_numpy(new) - old) for new, old in zip(tables, before)]
    for moved in (tokens[5], tokens[7], segments[0]):
        assert np.mean(np.isclose(moved, 0.01, rtol=0.02)) > 0.8
    assert tokens[6].max() == 0 and segments[1].max() == 0


def test_config_save_and_load(backbone, check_config, tmp_path):
    encoder = BackboneTextEncoder(backbone("albert"), "cls", 6, hidden_dim=5)
    check_config(encoder)
    encoder.save(tmp_path / "tower.keras")
    loaded = keras.saving.load_model(tmp_path / "tower.keras")
    inputs = {"token_ids": TOKEN_IDS, "padding_mask": MASK}
    np.testing.assert_allclose(to_numpy(loaded(inputs)), to_numpy(encoder(inputs)), atol=1e-6)


def test_what_is_frozen_stays_frozen(build_backbone):
    net = build_backbone("bert")
    for frozen in (net.layers, [net.token_embedding, net.transformer_layers[0]]):
        for layer in net.layers:
            layer.trainable = layer not in frozen
        encoder = BackboneTextEncoder(net, projection_dim=3)
        again = BackboneTextEncoder.from_config(encoder.get_config())
        count = len(again.trainable_weights)
        assert count == len(encoder.trainable_weights) < len(encoder.weights)
    assert count > 1


def test_what_has_no_part_in_the_output_is_frozen(backbone):
    encoder = BackboneTextEncoder(backbone("albert"), "cls")
    for _ in range(2):
        assert not backbone("albert").pooled_dense.trainable_weights
        assert len(encoder.trainable_weights) == len(encoder.weights) - 2
        set_trainable(encoder, True)


def test_an_empty_text_is_finite(backbone):
    for family, pooling in (("clip_text", "end"), ("bert", "average")):
        encoder = BackboneTextEncoder(backbone(family), pooling)
        nothing = {"token_ids": np.zeros((1, 8), "int32"), "padding_mask": np.zeros((1, 8), bool)}
        assert np.isfinite(to_numpy(encoder(nothing))).all()


def test_bad_arguments(backbone):
    with pytest.raises(ValueError, match="that can be split off. Received: backbone="):
        BackboneTextEncoder(backbone("vit"))
    with pytest.raises(ValueError, match="pooling='cls', output of shape"):
        BackboneTextEncoder(backbone("siglip_text"), "cls")
    longer = {"token_ids": np.ones((1, 9), "int32"), "padding_mask": np.ones((1, 9), bool)}
    with pytest.raises(ValueError, match="takes at most 8 tokens"):
        BackboneTextEncoder(backbone("bert"))(longer)
    shorter = {name: value[:, :7] for name, value in longer.items()}
    with pytest.raises(ValueError, match="takes 8 tokens. Received"):
        BackboneTextEncoder(backbone("siglip_text"))(shorter)
