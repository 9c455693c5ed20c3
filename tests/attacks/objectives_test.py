import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import rocmr_keras
from rocmr_keras.attacks import Target
from rocmr_keras.attacks import objectives
from rocmr_keras.backend import value_and_grad

NAMES = [
    "contrastive",
    "similarity",
    "margin",
    "margin_ratio",
    "target_similarity",
    "embedding_distance",
    "embedding_kl",
    "positives_kl",
]
SCALE = 7.0


def unit_rows(seed, rows):
    vectors = np.random.RandomState(seed).normal(size=(rows, 4))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def log_sum_exp(values):
    return np.log(np.sum(np.exp(values)))


def divergence(embedding, other):
    logs, others = (row - log_sum_exp(row) for row in (embedding, other))
    return np.sum(np.exp(logs) * (logs - others))


def twin(name, embedding, row, target, symmetric=False):
    """The loss of one embedding, item by item."""
    gallery, clean = (ops.convert_to_numpy(rows) for rows in (target.gallery, target.clean))
    similarities = [float(embedding @ item) for item in gallery]
    right = [s for s, p in zip(similarities, target.positives[row]) if p]
    wrong = [s for s, p in zip(similarities, target.positives[row]) if not p]
    if name == "similarity":
        return -sum(right)
    if name == "margin":
        return max(wrong) - max(right)
    if name == "margin_ratio":
        ordered = sorted(right + wrong, reverse=True)
        return (max(wrong) - max(right)) / (ordered[0] - ordered[2])
    if name == "target_similarity":
        return float(np.mean(right))
    if name in ("embedding_kl", "positives_kl"):
        rows = [clean[row]] if name == "embedding_kl" else gallery[target.positives[row]]
        return float(np.mean([divergence(embedding, other) for other in rows]))
    if name == "embedding_distance":
        return float(np.sum((embedding - clean[row]) ** 2))
    logits = SCALE * np.array(right + wrong)
    forward = log_sum_exp(logits) - log_sum_exp(logits[: len(right)])
    if not symmetric:
        return forward
    backward = []
    for column in np.flatnonzero(target.positives[row]):
        strangers = clean[~target.positives[:, column]]
        rivals = SCALE * strangers @ gallery[column]
        own = SCALE * similarities[column]
        backward.append(log_sum_exp(np.append(rivals, own)) - own)
    return (forward + np.mean(backward)) / 2


@pytest.fixture(scope="module")
def target():
    """Three examples; the first has two positives, which the third shares in part."""
    positives = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]], "bool")
    gallery, clean = (ops.convert_to_tensor(rows) for rows in (unit_rows(0, 4), unit_rows(1, 3)))
    return Target(gallery, positives, SCALE, clean)


@pytest.fixture(scope="module")
def symmetric_target(target):
    return Target(target.gallery, target.positives, SCALE, target.clean, symmetric=True)


@pytest.mark.parametrize("name", [*NAMES, "symmetric"])
def test_numpy_twin(name, target, symmetric_target):
    symmetric = name == "symmetric"
    name = "contrastive" if symmetric else name
    # Two stacked copies of the batch.
    embeddings = unit_rows(2, 6)
    found = objectives.get(name)(
        ops.convert_to_tensor(embeddings), symmetric_target if symmetric else target
    )
    expected = [twin(name, e, i % 3, target, symmetric) for i, e in enumerate(embeddings)]
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "symmetric"])
def test_each_loss_depends_on_its_own_embedding_only(name, target, symmetric_target):
    target = symmetric_target if name == "symmetric" else target
    objective = objectives.get("contrastive" if name == "symmetric" else name)
    embeddings, others = unit_rows(2, 6), unit_rows(3, 6)
    others[4] = embeddings[4]
    losses = ops.convert_to_numpy(objective(ops.convert_to_tensor(embeddings), target))
    again = ops.convert_to_numpy(objective(ops.convert_to_tensor(others), target))
    np.testing.assert_allclose(again[4], losses[4], atol=1e-6)
    # Where the right item is third, the ratio is 1 whatever the embedding.
    changed = np.abs(np.delete(again - losses, 4)) > 1e-4
    assert changed.sum() >= (4 if name == "margin_ratio" else 5)


def test_right_and_lost_by_hand():
    gallery, ids = np.eye(2, dtype="float32"), np.arange(2)
    target = Target(gallery, ids[:, None] == ids)
    embeddings = ops.convert_to_tensor(np.array([[1.0, 0.0], [1.0, 0.0]], "float32"))
    assert ops.convert_to_numpy(objectives.margin(embeddings, target)).tolist() == [-1.0, 1.0]
    losses = ops.convert_to_numpy(objectives.contrastive(embeddings, target))
    np.testing.assert_allclose(losses, [np.log1p(np.exp(-1)), np.log1p(np.exp(1))], rtol=1e-6)


GRADIENTS = """
import keras, numpy as np
from keras import ops
from rocmr_keras.attacks import Target, objectives
from rocmr_keras.backend import value_and_grad

keras.config.set_floatx("float64")
random = np.random.RandomState(0)
first, second = (ops.convert_to_tensor(random.normal(size=shape)) for shape in [(5, 6), (6, 4)])
inputs = random.normal(size=(3, 5))
gallery = random.normal(size=(4, 4))
gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
positives = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]], "bool")

def dot(x, weights):
    # Not `ops.matmul`, which rounds float64 to float32 on some backends.
    return ops.sum(x[..., None] * weights, axis=-2)

class PreciseTarget(Target):
    def similarities(self, embeddings):
        return dot(self.stack(embeddings), ops.transpose(self.gallery))

def encode(x):
    x = dot(ops.sigmoid(dot(x, first)), second)
    return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))

def difference(loss_fn, step=1e-5):
    moves = step * np.eye(15).reshape(15, 1, 3, 5)
    moved = np.concatenate([inputs + moves, inputs - moves]).reshape(-1, 5)
    losses = ops.convert_to_numpy(loss_fn(ops.convert_to_tensor(moved))).reshape(2, 15, 3)
    return ((losses[0] - losses[1]).sum(axis=-1) / (2 * step)).reshape(3, 5)

clean = encode(ops.convert_to_tensor(random.normal(size=(3, 5))))
for symmetric in (False, True):
    target = PreciseTarget(ops.convert_to_tensor(gallery), positives, 7.0, clean, symmetric)
    for name in {names} if not symmetric else ["contrastive"]:
        loss_fn = lambda x: objectives.get(name)(encode(x), target)
        losses, gradient = value_and_grad(loss_fn)(ops.convert_to_tensor(inputs))
        assert keras.backend.standardize_dtype(gradient.dtype) == "float64"
        gradient = ops.convert_to_numpy(gradient)
        assert losses.shape == (3,) and np.abs(gradient).max() > 0.01
        error = np.abs(gradient - difference(loss_fn)).max()
        assert error < 1e-7, (name, symmetric, error)
"""


def test_gradients_against_central_differences_in_float64():
    # Another process, because float64 must be switched on before the backend starts.
    root = str(pathlib.Path(rocmr_keras.__file__).parents[1])
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": root}
    # `positives_kl` needs a matrix product, which some backends round to float32.
    names = [name for name in NAMES if name != "positives_kl"]
    script = GRADIENTS.replace("{names}", str(names))
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", NAMES)
def test_serialization(name):
    objective = objectives.get(name)
    config = keras.saving.serialize_keras_object(objective)
    assert keras.saving.deserialize_keras_object(config) is objective


def test_get():
    assert objectives.get(objectives.margin) is objectives.margin
    for identifier in ("rank", None, {"name": "margin"}):
        with pytest.raises(ValueError, match="Received: objective=.*A callable takes"):
            objectives.get(identifier)


def test_the_margin_ratio_ignores_the_scale_and_needs_three_items(target):
    embeddings = ops.convert_to_tensor(unit_rows(2, 3))
    losses = objectives.margin_ratio(embeddings, target)
    again = objectives.margin_ratio(0.01 * embeddings, target)
    np.testing.assert_allclose(ops.convert_to_numpy(again), ops.convert_to_numpy(losses), rtol=1e-4)
    small = Target(target.gallery[:2], np.eye(3, 2, dtype=bool))
    with pytest.raises(ValueError, match="Received: a gallery of 2. Use 'margin'"):
        objectives.margin_ratio(embeddings, small)


def test_the_margin_ratio_where_items_tie():
    """Copies of an item count once; else a right query's ratio were -1 whatever it is."""
    rows = [[1, 0, 0, 0], [0.6, 0.8, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0]]
    gallery, own = np.array(rows, "float32"), np.array([[True, False, False, False]])
    embedding = np.array([[0.9, 0.3, 0.2, 0.1]], "float32")
    target = Target(ops.convert_to_tensor(gallery), own)
    losses, gradient = value_and_grad(lambda x: objectives.margin_ratio(x, target))(
        ops.convert_to_tensor(embedding)
    )
    expected = (0.78 - 0.9) / (0.9 - 0.2)
    np.testing.assert_allclose(ops.convert_to_numpy(losses), [expected], rtol=1e-4)
    assert np.abs(ops.convert_to_numpy(gradient)).max() > 0.01


@pytest.mark.parametrize("different", [1, 2])
def test_the_margin_ratio_without_three_different_items(different):
    gallery = unit_rows(0, 4)
    gallery[different:] = gallery[different - 1]
    target = Target(ops.convert_to_tensor(gallery), np.array([[True, False, False, False]]))
    embedding = ops.convert_to_tensor(unit_rows(1, 1))
    losses, gradient = value_and_grad(lambda x: objectives.margin_ratio(x, target))(embedding)
    expected = objectives.margin(embedding, target)
    np.testing.assert_allclose(
        ops.convert_to_numpy(losses), ops.convert_to_numpy(expected), atol=1e-6
    )
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()


def test_missing_clean_embeddings(target):
    with pytest.raises(ValueError, match="Received: clean=None"):
        Target(target.gallery, target.positives, symmetric=True)
    for name in ("embedding_distance", "embedding_kl"):
        with pytest.raises(ValueError, match="Received: target.clean=None"):
            objectives.get(name)(target.clean, Target(target.gallery, target.positives))


def test_contrastive_can_be_climbed_where_the_model_is_sure():
    gallery = np.eye(3, dtype="float32")
    target = Target(gallery, np.array([[True, False, False]]), scale=60.0)
    nearer = np.array([[0.9, 0.1, 0.0]], "float32")
    losses = [
        float(ops.convert_to_numpy(objectives.contrastive(ops.convert_to_tensor(found), target))[0])
        for found in (gallery[:1], nearer)
    ]
    np.testing.assert_allclose(losses, [2 * np.exp(-60.0), np.exp(-48) + np.exp(-54)], rtol=1e-3)
