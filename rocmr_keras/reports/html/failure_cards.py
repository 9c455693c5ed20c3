"""The worst failures, before and after, as pictures."""

import base64
import io

import numpy as np

from rocmr_keras.reports.formatting import ARROWS
from rocmr_keras.reports.html.element import element
from rocmr_keras.reports.pictures.changes import changed_words
from rocmr_keras.reports.pictures.changes import difference
from rocmr_keras.reports.pictures.changes import magnified
from rocmr_keras.reports.pictures.changes import nice_factor
from rocmr_keras.reports.pictures.checks import check_entries
from rocmr_keras.reports.pictures.checks import check_item
from rocmr_keras.reports.pictures.checks import check_rank
from rocmr_keras.reports.pictures.sheet import to_uint8

_KEYS = ("rank", "query", "adversarial_query", "before", "after")


def failure_cards(found):
    """Builds the cards, `None` if there is nothing to show.

    Args:
        found: Dict from the name of an attack to what `worst_failures` or
            `auto_attack_failures` returns, or `None`.
    """
    if not found:
        return None
    groups = [
        _group(name, direction, group)
        for name, directions in found.items()
        for direction, group in directions.items()
    ]
    return element(
        "section",
        element("h2", "Worst failures"),
        element(
            "p",
            "Queries that came first when clean and fell the furthest under attack. Each attack "
            "was run again for these pictures.",
            class_="note",
        ),
        groups,
    )


def _group(name, direction, group):
    tried = f"{group['fallen']:,} of {group['tried']:,} attacked queries lost rank 1"
    if group["tried"] < group["right"]:
        tried += f" (drawn from {group['right']:,} that had it)"
    examples = group["examples"]
    for position, example in enumerate(examples):
        _check(example, f"failures[{name!r}][{direction!r}]['examples'][{position}]")
    added = [
        difference(example["query"], example["adversarial_query"])
        for example in examples
        if not isinstance(example["query"], str)
    ]
    factor = nice_factor(max((np.abs(pixels).max() for pixels in added), default=0.0))
    cards = [_card(example, factor) for example in examples]
    return [
        element("h3", f"{ARROWS[direction]} under {name}"),
        element("p", f"{tried}.", class_="note"),
        element("div", cards, class_="cards") if cards else None,
    ]


def _card(example, factor):
    before, after = example["rank"]
    shown = _captions if isinstance(example["query"], str) else _images
    return element(
        "article",
        element(
            "p",
            f"rank {before:,} → ",
            element("strong", f"{after:,}"),
            class_="rank",
        ),
        _labelled("attack", str(example["attack"])) if "attack" in example else None,
        shown(example, factor),
        class_="card",
    )


def _images(example, factor):
    query, attacked = example["query"], example["adversarial_query"]
    enlarged = magnified(difference(query, attacked), factor)
    return [
        element(
            "div",
            _picture(query, "original"),
            _picture(attacked, "attacked"),
            _picture(enlarged, f"change × {factor:g}"),
            class_="pictures",
        ),
        _labelled("came first", element("q", example["before"])),
        _labelled("comes first now", element("q", example["after"])),
    ]


def _captions(example, _):
    before, after = changed_words(example["query"], example["adversarial_query"])
    return [
        _labelled("caption", _marked(before, "del")),
        _labelled("attacked", _marked(after, "ins")),
        element(
            "div",
            _picture(example["before"], "came first"),
            _picture(example["after"], "comes first now"),
            class_="pictures",
        ),
    ]


def _marked(words, name):
    parts = []
    for word, changed in words:
        parts += [element(name, word) if changed else word, " "]
    return element("span", parts, class_="words")


def _labelled(label, content):
    return element("p", element("small", label), content, class_="labelled")


def _picture(image, label):
    pixels = to_uint8(image)
    # A small image keeps its own pixels, a large one is smoothed.
    style = "image-rendering:pixelated" if max(pixels.shape) < 160 else None
    picture = element("img", src=_encode(pixels), alt=label, style=style)
    return element("figure", picture, element("figcaption", label))


def _encode(pixels):
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Pictures in a report are written with Pillow, which is not installed. Run "
            '`pip install "rocmr-keras[pictures]"`.'
        ) from error
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _check(example, name):
    check_entries([example], name, _KEYS, optional=("attack",))
    for key in _KEYS[1:]:
        check_item(example[key], f"{name}['{key}']")
    for rank in example["rank"]:
        check_rank(rank, f"{name}['rank']")
