import numpy as np

from rocmr_keras.reports.pictures.changes import changed_words
from rocmr_keras.reports.pictures.changes import difference
from rocmr_keras.reports.pictures.changes import magnified
from rocmr_keras.reports.pictures.changes import nice_factor
from rocmr_keras.reports.pictures.checks import check_entries
from rocmr_keras.reports.pictures.checks import check_image
from rocmr_keras.reports.pictures.checks import check_rank
from rocmr_keras.reports.pictures.sheet import GREEN
from rocmr_keras.reports.pictures.sheet import INK
from rocmr_keras.reports.pictures.sheet import MARGIN
from rocmr_keras.reports.pictures.sheet import MUTED
from rocmr_keras.reports.pictures.sheet import RED
from rocmr_keras.reports.pictures.sheet import WIDTH
from rocmr_keras.reports.pictures.sheet import Sheet

_BLUE = "#0a58ca"


def adversarial_examples(path, examples, title=None):
    """Draw attacked image-caption pairs before and after, as a PNG of 1200 pixels width.

    The difference of the two images is centred at gray and magnified by a factor that is the
    same for all examples and stated above them. Words that differ between the two captions are
    bold, coloured and in brackets.

    Args:
        path: String or path of the PNG file, see `retrieval_sheet`.
        examples: Non-empty list of dicts, one for each pair, with

            - `"image"`, `"adversarial_image"`: arrays of one shape `(height, width, 3)`, uint8
              or float in `[0, 1]`;
            - `"caption"`, `"adversarial_caption"`: strings, equal if the text was not attacked;
            - `"image_rank"`, `"text_rank"`: pairs of integers, the rank of the image query
              among the captions and of the text query among the images, before and after.
              Optional;
            - `"retrieved_caption"`: string that the attacked image now retrieves first, and
              `"retrieved_image"`: image that the attacked caption retrieves. Optional.
        title: String above the sheet, or None. Defaults to `None`.

    Raises:
        ValueError: A `path` that does not end in `.png`, or an example that is not as above.
        ImportError: matplotlib is missing.
    """
    keys = ("image", "adversarial_image", "caption", "adversarial_caption")
    optional = ("image_rank", "text_rank", "retrieved_caption", "retrieved_image")
    check_entries(examples, "examples", keys, optional)
    for position, example in enumerate(examples):
        _check_example(example, f"examples[{position}]")
    sheet = Sheet(path, title)
    differences = [
        difference(example["image"], example["adversarial_image"]) for example in examples
    ]
    largest = max(np.abs(added).max() for added in differences)
    factor = nice_factor(largest)
    for column, text in enumerate(("original", "adversarial", f"difference × {factor:g}")):
        sheet.text(MARGIN + column * 208 + 96, sheet.top, text, color=MUTED, align="center")
    sheet.text(
        WIDTH - MARGIN,
        sheet.top,
        f"largest difference {255 * largest:.1f}/255",
        color=MUTED,
        align="right",
    )
    sheet.top += 30
    for example, added in zip(examples, differences, strict=True):
        sheet.rule()
        _draw_example(sheet, example, magnified(added, factor))
    sheet.save()


def _draw_example(sheet, example, magnified_difference):
    top, left = sheet.top, MARGIN + 3 * 208 + 12
    images = example["image"], example["adversarial_image"], magnified_difference
    for column, image in enumerate(images):
        sheet.picture(MARGIN + column * 208, top, 192, image)
        sheet.frame(MARGIN + column * 208, top, 192, 192, right=False)
    before, after = _mark_changes(example["caption"], example["adversarial_caption"])
    width = WIDTH - MARGIN - left
    sheet.text(left, top - 4, "caption", 12, MUTED)
    bottom = sheet.paragraph(left, top + 14, width, before, 15, max_lines=8)
    unchanged = " (unchanged)" if before == after else ""
    sheet.text(left, bottom + 8, f"adversarial caption{unchanged}", 12, MUTED)
    bottom = sheet.paragraph(left, bottom + 26, width, after, 15, max_lines=8) + 8
    for key, label in (("image_rank", "image query"), ("text_rank", "text query")):
        if example.get(key) is not None:
            _draw_ranks(sheet, left, bottom, label, *example[key])
            bottom += 24
    if example.get("retrieved_caption") is not None:
        sheet.text(left, bottom + 6, "the adversarial image now retrieves", 12, MUTED)
        words = [(word, None) for word in example["retrieved_caption"].split()]
        bottom = sheet.paragraph(left, bottom + 24, width, words, 14, max_lines=4)
    if example.get("retrieved_image") is not None:
        sheet.text(left, bottom + 30, "the adversarial caption now retrieves", 12, MUTED)
        sheet.frame(left + 252, bottom + 8, 64, 64, right=False)
        bottom = sheet.picture(left + 252, bottom + 8, 64, example["retrieved_image"])
    sheet.top = max(top + 192, bottom) + 24


def _draw_ranks(sheet, left, top, label, before, after):
    sheet.text(left, top + 2, label, 12, MUTED)
    x = sheet.text(left + 92, top, f"rank {before:,}  →  ", 15)
    color = INK if after == before else RED if after > before else GREEN
    sheet.text(x, top, f"{after:,}", 15, color, bold=True)


def _mark_changes(before, after):
    """Two captions as lists of (word, colour or None); changed words get a colour and brackets."""
    return [
        [(f"[{word}]", color) if changed else (word, None) for word, changed in words]
        for words, color in zip(changed_words(before, after), (_BLUE, RED), strict=True)
    ]


def _check_example(example, name):
    for key in ("image", "adversarial_image", "retrieved_image"):
        if example.get(key) is not None:
            check_image(example[key], f"{name}['{key}']")
    shapes = [np.shape(example[key]) for key in ("image", "adversarial_image")]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The two images of `{name}` must have one shape. Received: {shapes[0]} and "
            f"{shapes[1]}. Pass the original as the encoder saw it."
        )
    for key in ("caption", "adversarial_caption", "retrieved_caption"):
        if not isinstance(example.get(key, ""), (str, type(None))):
            raise ValueError(
                f"`{name}['{key}']` must be a string. Received: {example[key]!r:.60}. Turn token "
                "ids into text first."
            )
    for key in ("image_rank", "text_rank"):
        ranks = example.get(key)
        if ranks is not None and np.shape(ranks) != (2,):
            raise ValueError(
                f"`{name}['{key}']` must be the ranks before and after. Received: {ranks!r}. "
                "Pass a pair of integers."
            )
        for rank in ranks if ranks is not None else ():
            check_rank(rank, f"{name}['{key}']")
