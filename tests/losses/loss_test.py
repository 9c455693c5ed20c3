import pytest

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


@pytest.mark.parametrize("identifier", ["softmax", None, {"name": "hardest_triplet"}])
def test_get_of_nothing_known(identifier):
    with pytest.raises(ValueError, match="`loss` must be one of.*Received: loss=.*A callable"):
        losses.get(identifier)
