import inspect

import pytest

from rocmr_keras.data import load
from rocmr_keras.data import loading


def test_unknown_name():
    with pytest.raises(ValueError, match=r"one of \['albef', .*'karpathy'\].*name='imagenet'"):
        load("imagenet")


@pytest.mark.parametrize("name", sorted(loading._LOADERS))
def test_loaders_take_the_same_names(name):
    arguments = inspect.signature(loading._LOADERS[name]).parameters
    assert name == "emoji" or {"images", "max_bad_fraction", "check_files"} <= set(arguments)
    assert f'"{name}"' in load.__doc__
