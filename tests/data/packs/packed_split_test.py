import json

import numpy as np
import pytest

from rocmr_keras.data import PackedSplit
from rocmr_keras.data import Preprocessor
from rocmr_keras.data import batches
from rocmr_keras.data import open_pack
from rocmr_keras.data import pack


@pytest.fixture
def packed(colours, preprocessor):
    return pack(colours, preprocessor)


def test_is_a_split(packed, colours):
    assert len(packed) == 4 and packed.name == "colours"
    assert packed.captions_of(3) == colours.captions_of(3)
    assert repr(packed) == repr(colours)


def test_take_keeps_the_tokens(packed, preprocessor):
    part = packed.take([2, 0])
    assert isinstance(part, PackedSplit)
    np.testing.assert_array_equal(part.images, packed.images[[2, 0]])
    tokens = preprocessor.tokenize(part.captions)
    for name, rows in tokens.items():
        np.testing.assert_array_equal(part.tokens[name], rows)
    assert part.fingerprint != packed.fingerprint
    assert part.fingerprint == packed.take([2, 0]).fingerprint != packed.take([0, 2]).fingerprint
    part.check_preprocessor(preprocessor)


def test_subset_of_a_mapped_pack(colours, preprocessor, tmp_path):
    packed = pack(colours, preprocessor, tmp_path / "pack")
    part = packed.subset(3, seed=1)
    assert isinstance(part, PackedSplit) and len(part) == 3
    assert len(part.tokens["token_ids"]) == len(part.captions)
    np.testing.assert_array_equal(
        part.images, packed.images[np.isin(packed.image_ids, part.image_ids)]
    )


def test_is_used_with_the_preprocessor_that_made_it(packed, preprocessor):
    other = Preprocessor(preprocessor.vocabulary, 6, (8, 8))
    for use in (packed.check_preprocessor, lambda p: pack(packed, p)):
        with pytest.raises(ValueError, match="with the preprocessor that made it.*Pack the split"):
            use(other)
    with pytest.raises(ValueError, match="with the preprocessor that made it"):
        batches(packed, other, batch_size=2)


def test_a_row_of_tokens_for_each_caption(packed):
    tokens = {name: rows[1:] for name, rows in packed.tokens.items()}
    arguments = (packed.image_ids, packed.captions, packed.caption_image_ids)
    with pytest.raises(ValueError, match="Received: 5 rows of token_ids, 6 captions"):
        PackedSplit(packed.images, *arguments, tokens, packed.fingerprint)


def test_folders_that_are_no_pack(colours, preprocessor, tmp_path):
    with pytest.raises(ValueError, match="must be a whole folder.*'.*none', no readable"):
        open_pack(tmp_path / "none")
    pack(colours, preprocessor, tmp_path / "pack")
    described = json.loads((tmp_path / "pack" / "pack.json").read_text())
    (tmp_path / "pack" / "pack.json").write_text(json.dumps({**described, "version": 9}))
    with pytest.raises(ValueError, match="version 9 of the format. Pack the split again"):
        open_pack(tmp_path / "pack")
    (tmp_path / "pack" / "pack.json").write_text(json.dumps(described))
    pixels = (tmp_path / "pack" / "images.npy").read_bytes()
    (tmp_path / "pack" / "images.npy").write_bytes(pixels[:-10])
    with pytest.raises(ValueError, match="must be a whole folder"):
        open_pack(tmp_path / "pack")
