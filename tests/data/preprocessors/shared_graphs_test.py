"""Preprocessors of the same settings share what is traced, and no others do."""

import weakref

import numpy as np
import pytest

from rocmr_keras.data import Preprocessor
from rocmr_keras.data.preprocessors import base_preprocessor
from rocmr_keras.data.preprocessors.shared_graphs import shared_graphs
from rocmr_keras.data.runtime import tensorflow

VOCABULARY = ["[PAD]", "[UNK]", "[START]", "[END]", "a", "b", "é", "e"]


@pytest.fixture
def traces(monkeypatch):
    """Names of the functions that were traced."""
    found, trace = [], tensorflow().function

    def count(function, **options):
        found.append(function.__name__)
        return trace(function, **options)

    monkeypatch.setattr(base_preprocessor.tensorflow(), "function", count)
    return found


def make(image_size=(5, 3), **options):
    return Preprocessor(VOCABULARY, **{"sequence_length": 7, **options}, image_size=image_size)


def read(preprocessor):
    pixels = np.arange(6 * 6 * 3, dtype="uint8").reshape(1, 6, 6, 3)
    return preprocessor.tokenize(["A é b"])["token_ids"], preprocessor.load_images(list(pixels))


def test_a_second_one_of_the_same_settings_traces_nothing(traces):
    first, second = make(), make()
    expected = read(first)
    assert sorted(traces) == ["_lay_out", "resize_graph"]
    for value, other in zip(expected, read(second)):
        np.testing.assert_array_equal(value, other)
    assert len(traces) == 2


@pytest.mark.parametrize(
    ("options", "traced"),
    [
        ({"sequence_length": 6}, ["_lay_out"]),
        ({"lowercase": False}, ["_lay_out"]),
        ({"strip_accents": True}, ["_lay_out"]),
        ({"image_size": (3, 5)}, ["resize_graph"]),
    ],
)
def test_one_of_other_settings_traces_what_they_change(traces, options, traced):
    kept = make()
    tokens, pixels = read(kept)
    traces.clear()
    other_tokens, other_pixels = read(make(**options))
    assert traces == traced
    is_same = np.array_equal(tokens, other_tokens), np.array_equal(pixels, other_pixels)
    assert is_same == (traced != ["_lay_out"], traced != ["resize_graph"])


def test_graphs_go_with_the_last_who_holds_them():
    graphs = shared_graphs(("nobody else's",))
    assert shared_graphs(("nobody else's",)) is graphs
    gone = weakref.ref(graphs)
    del graphs  # No circle: nothing has to be collected.
    assert gone() is None
