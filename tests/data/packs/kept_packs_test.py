import gc
import os
import weakref

import numpy as np
import pytest

from rocmr_keras.data import Preprocessor
from rocmr_keras.data import Split
from rocmr_keras.data import pack
from rocmr_keras.data.packs.kept_packs import KeptPacks


@pytest.fixture
def other(preprocessor):
    return Preprocessor(["[PAD]", "[UNK]", "[START]", "[END]"], 8, preprocessor.image_size)


def test_a_pack_is_made_once(files, preprocessor, other, decoded):
    packed = pack(files, preprocessor)
    assert pack(files, preprocessor) is packed and sum(decoded) == 9
    assert pack(files, other) is not packed and sum(decoded) == 18
    assert pack(files, preprocessor) is packed and sum(decoded) == 18
    with pytest.raises(ValueError, match="read-only"):
        packed.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        packed.tokens["token_ids"][0] = 0


def test_what_changed_is_packed_anew(files, preprocessor, decoded):
    packed = pack(files, preprocessor)
    files.captions[0] = "a white square"
    assert pack(files, preprocessor).captions[0] == "a white square" != packed.captions[0]
    os.utime(files.images[0], (0, 0))
    pack(files, preprocessor)
    assert sum(decoded) == 27


def test_pixels_of_the_user_stay_writable(preprocessor):
    pixels = np.zeros((2, *preprocessor.image_size, 3), "uint8")
    split = Split(pixels, range(2), ["red"] * 2, range(2))
    assert pack(split, preprocessor).images is pixels
    pixels[0] = 7
    assert pack(split, preprocessor).images[0].max() == 7


def test_other_pixels_of_the_user_are_packed_anew(preprocessor):
    pixels = np.zeros((2, *preprocessor.image_size, 3), "uint8")
    split = Split(pixels, range(2), ["red"] * 2, range(2))
    packed = pack(split, preprocessor)
    assert pack(split, preprocessor) is packed
    split.images = pixels + np.uint8(1)
    assert pack(split, preprocessor).images is split.images


def test_packs_go_with_their_split(files, preprocessor):
    split = files.take(range(2))
    packed = weakref.ref(pack(split, preprocessor))
    gc.collect()
    assert packed() is not None
    del split
    gc.collect()
    assert packed() is None


def test_the_oldest_go_when_there_are_too_many(colours, preprocessor):
    splits = [colours.take([0, 1]), colours.take([1, 2]), colours.take([2, 3])]
    packs = [pack(split, preprocessor) for split in splits]
    size = sum(rows.nbytes for rows in (packs[0].images, *packs[0].tokens.values()))
    kept = KeptPacks(2 * size)
    for split, packed in zip(splits[:2], packs):
        assert kept.add(split, packed) is packed
    assert kept.find(splits[0], packs[0].fingerprint) is packs[0]
    kept.add(splits[2], packs[2])
    names = [packed.fingerprint for packed in packs]
    found = [kept.find(split, name) is not None for split, name in zip(splits, names)]
    assert found == [True, False, True]
