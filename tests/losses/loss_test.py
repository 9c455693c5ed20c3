import pytest
from keras import ops

from rocmr_keras import losses


@pytest.mark.parametrize(
    "name, kind",
    [
        ("symmetric_softmax", losses.SymmetricSoftmax),
        ("pairwise_sigmoid", losses.PairwiseSigmoid),
        ("hardest_triplet", losses.HardestTriplet),
    ],
)
def test_get_by_name(name, kind):
    assert type(losses.get(name)) is kind


def test_a_callable_is_returned_as_it_is():
    loss = losses.HardestTriplet(0.4)
    assert losses.get(loss) is loss
    assert losses.get(max) is max


@pytest.mark.parametrize("name", ["symmetric_softmax", "pairwise_sigmoid", "hardest_triplet"])
def test_rows_and_columns_by_row(evaluate, similarities, positives, name):
    loss = losses.get(name)

    def by_rows(similarities, positives, *args):
        sides = (similarities, ops.transpose(similarities))
        values = [loss.by_row(side, positives, *args) for side in sides]
        return loss.mean(sum(values), ops.sum(ops.cast(positives, "float32"), axis=1))

    parts = similarities, positives, 3.0, 0.5
    assert evaluate(by_rows, *parts) == pytest.approx(evaluate(loss, *parts), rel=1e-6)


@pytest.mark.parametrize("identifier", ["softmax", None, {"name": "hardest_triplet"}])
def test_get_of_nothing_known(identifier):
    with pytest.raises(ValueError, match="`loss` must be one of.*Received: loss=.*A callable"):
        losses.get(identifier)
