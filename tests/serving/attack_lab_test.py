"""A model that sees the mean colour of an image, beside one that is blind."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from rocmr_keras.serving import AttackLab
from rocmr_keras.serving import RequestError


def pixels(contents):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(contents))), "int32")


def test_image_within_the_budget(lab, make_png):
    query = (112, 100, 92)
    for epsilon in (2, 16):
        attacked, blind = lab.attack_image(make_png(query), epsilon)
        assert [attacked["model"], blind["model"]] == lab.titles
        assert (pixels(attacked["original"]) == query).all()
        moved = pixels(attacked["attacked"]) - query
        assert np.abs(moved).max() == epsilon
        assert attacked["before"][0]["name"] == "red.png"
        shown = pixels(attacked["difference"]) - 127.5
        assert np.abs(shown - attacked["factor"] * moved).max() <= attacked["factor"]
    # Red is 12 above green and 20 above blue: 16 either way is enough, 2 was not.
    assert attacked["after"][0]["name"] == "blue.png"
    assert [item["name"] for item in blind["after"]] == [item["name"] for item in blind["before"]]


def test_text(lab):
    result = lab.attack_text("red green", num_substitutions=1)[0]
    assert result["original"] == "red green"
    before, after = result["original"].split(), result["attacked"].split()
    assert len(after) == 2 and set(after) <= {"red", "green", "blue"}
    assert sum(a != b for a, b in zip(before, after)) <= 1
    scores = [item["score"] for item in result["after"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("epsilon", [0, -1, 17, None, "8", True, float("nan")])
def test_budget_out_of_range(lab, make_png, epsilon):
    with pytest.raises(RequestError, match="'epsilon' must be a number above 0, at most 16"):
        lab.attack_image(make_png("red"), epsilon)


def test_bad_queries(lab, make_png):
    with pytest.raises(RequestError, match="cannot be read: not a JPEG"):
        lab.attack_image(b"text", 8)
    with pytest.raises(RequestError, match="truncated|corrupt"):
        lab.attack_image(make_png("red")[:-20], 8)
    with pytest.raises(RequestError, match="at most 16,000,000 pixels. Received: 5000 x 5000"):
        lab.attack_image(make_png("red", 5000), 8)
    for text in ("", "  ", 3, "a" * 1001):
        with pytest.raises(RequestError, match="'text' must be a string"):
            lab.attack_text(text)
    with pytest.raises(RequestError, match="'num_substitutions' must be"):
        lab.attack_text("red", 1.5)


def test_gallery_is_thinned_evenly(paths, make_model, make_png):
    lab = AttackLab({"open": make_model(1.0)}, paths, num_steps=1, max_items=2)
    (result,) = lab.attack_image(make_png((90, 90, 200)), 1)
    assert [item["name"] for item in result["before"]] == ["blue.png", "red.png"]


def test_nothing_to_attack(paths):
    with pytest.raises(ValueError, match="must not be empty. Received: 0 models, 3 items"):
        AttackLab({}, paths)
