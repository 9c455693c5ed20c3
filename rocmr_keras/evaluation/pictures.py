"""Pictures for people: what was retrieved, what an attack changed, how recall falls with epsilon.

matplotlib (and the Pillow that comes with it) is imported only when a picture is drawn:
`pip install "rocmr-keras[pictures]"`. No pyplot and no display; settings are left as they were.
"""

import bisect
import difflib
import functools
import os
import textwrap
import unicodedata

import numpy as np

WIDTH = 1200
MARGIN = 28
NUM_RESULTS = 5

INK, MUTED, PALE = "#1f2328", "#656d76", "#d0d7de"
GREEN, BLUE, RED = "#1a7f37", "#0a58ca", "#c0272d"
CURVE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1f2328")
CURVE_MARKERS = "os^Dv*X"


def retrieval_sheet(path, rows, title=None):
    """Draw queries with the first results of each, as a PNG of 1200 pixels width.

    Right results stand in a thick green frame with a tick, wrong ones in a thin gray one. Below
    each result is its place and score, at the end of the row the rank of the first right one.

    Args:
        path: String or path of the PNG file. Missing folders are created, an existing file is
            replaced in one step.
        rows: Non-empty list of dicts, one for each query, with

            - `"query"`: a string, or an image: array of shape `(height, width, 3)`, uint8 or
              float in `[0, 1]`;
            - `"results"`: list of 1 to 5 images or strings, best first;
            - `"scores"`: list of as many floats;
            - `"correct"`: list of as many booleans;
            - `"rank"`: integer, rank of the first right result in the whole gallery.
        title: String above the sheet, or None. Defaults to `None`.

    Raises:
        ValueError: A `path` that does not end in `.png`, or a row that is not as above.
        ImportError: matplotlib is missing.

    Example:

    ```python
    rows = [{"query": "red apple", "results": [apple, cherry], "scores": [0.61, 0.35],
             "correct": [True, False], "rank": 1}]
    retrieval_sheet("retrieval.png", rows)
    ```
    """
    _check_entries(rows, "rows", ("query", "results", "scores", "correct", "rank"))
    for position, row in enumerate(rows):
        _check_results(row, f"rows[{position}]")
    page = _Page(path, title)
    for row in rows:
        page.rule()
        _draw_query_row(page, row)
    page.save()


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
    _check_entries(examples, "examples", keys, optional)
    for position, example in enumerate(examples):
        _check_example(example, f"examples[{position}]")
    page = _Page(path, title)
    differences = [_difference(example) for example in examples]
    largest = max(np.abs(difference).max() for difference in differences)
    factor = _nice_factor(largest)
    for column, text in enumerate(("original", "adversarial", f"difference × {factor:g}")):
        page.text(MARGIN + column * 208 + 96, page.top, text, color=MUTED, align="center")
    page.text(
        WIDTH - MARGIN,
        page.top,
        f"largest difference {255 * largest:.1f}/255",
        color=MUTED,
        align="right",
    )
    page.top += 30
    for example, difference in zip(examples, differences, strict=True):
        page.rule()
        _draw_example(page, example, np.clip(0.5 + factor * difference, 0.0, 1.0))
    page.save()


def recall_against_epsilon(path, curves, title=None, chance=None, metric="recall@1"):
    """Draw recall over the strength of the attack for several models, as a PNG.

    Args:
        path: String or path of the PNG file, see `retrieval_sheet`.
        curves: Non-empty dict from a label to a dict with `"epsilon"`, a list of floats in
            `[0, 1]` (`4 / 255` for four gray levels; 0 is the clean recall), and `"recall"`, a
            list of as many floats in `[0, 1]`. At most seven labels.
        title: String above the axes, or None. Defaults to `None`.
        chance: Float in `[0, 1]`, recall of a random ranking, drawn as a dashed line, or None.
            Defaults to `None`.
        metric: String, the name at the vertical axis. Defaults to `"recall@1"`.

    Raises:
        ValueError: A `path` that does not end in `.png`, or curves that are not as above.
        ImportError: matplotlib is missing.

    Example:

    ```python
    curves = {"standard": {"epsilon": [0, 2 / 255], "recall": [0.62, 0.11]},
              "rocmr": {"epsilon": [0, 2 / 255], "recall": [0.58, 0.41]}}
    recall_against_epsilon("recall.png", curves, chance=0.001)
    ```
    """
    _check_curves(curves, chance)
    path, matplotlib = _check_path(path), _import_matplotlib()
    from matplotlib.figure import Figure

    settings = {"text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 11}
    with matplotlib.style.context(["default", settings]):
        figure = Figure(figsize=(8.0, 4.5), dpi=150, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = figure.add_subplot()
        for (label, curve), color, marker in zip(
            curves.items(), CURVE_COLORS, CURVE_MARKERS, strict=False
        ):
            epsilon, recall = (np.asarray(curve[key], float) for key in ("epsilon", "recall"))
            order = np.argsort(epsilon)
            axes.plot(
                255 * epsilon[order],
                100 * recall[order],
                color=color,
                marker=marker,
                linewidth=2,
                markersize=7,
                label=_fold(str(label), 26),
                clip_on=False,
                zorder=3,
            )
        if chance is not None:
            axes.axhline(100 * chance, color=MUTED, linestyle="--", linewidth=1.2, label="chance")
        _style_axes(axes, curves)
        axes.set_ylabel(f"{_clean(metric)} (%)")
        axes.set_title(_fold(title or "", 62), loc="left", fontweight="bold", fontsize=13, pad=12)
        figure.legend(loc="outside right center", frameon=False)
        _write(figure, path)


def _style_axes(axes, curves):
    levels = {255 * float(epsilon) for curve in curves.values() for epsilon in curve["epsilon"]}
    levels = np.unique(np.round(sorted(levels), 3))
    # Ticks at the measured levels, unless their labels would touch.
    if np.diff(levels).min(initial=np.inf) >= levels.max() / 24:
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
    highest = max(max(curve["recall"]) for curve in curves.values())
    axes.set_ylim(0, min(100, 10 * np.ceil(10 * highest + 0.5)))
    axes.set_xlim(left=0)
    axes.set_xlabel("epsilon (n/255)")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _fold(text, width):
    return "\n".join(textwrap.wrap(_clean(text), width))


def _draw_query_row(page, row):
    top = page.top
    is_text = isinstance(row["query"], str)
    page.text(MARGIN, top, "text query" if is_text else "image query", 12, MUTED)
    if is_text:
        words = [(word, None) for word in f"“{row['query']}”".split()]
        bottom = page.paragraph(MARGIN, top + 26, 196, words, 16, max_lines=6)
    else:
        bottom = page.picture(MARGIN, top + 26, 152, row["query"])
    draw = _draw_captions if isinstance(row["results"][0], str) else _draw_images
    results_bottom = draw(page, 252, top, row)
    page.top = max(bottom, results_bottom) + 20
    middle = (top + page.top - 20) / 2
    color = GREEN if any(row["correct"]) else RED
    page.text(1124, middle - 34, "first right", 12, MUTED, align="center")
    page.text(1124, middle - 14, f"{row['rank']:,}", 26, color, bold=True, align="center")


def _draw_images(page, left, top, row):
    for place, (image, score, right) in enumerate(_results(row), start=1):
        page.picture(left, top + 4, 152, image)
        page.frame(left, top + 4, 152, 152, right)
        page.text(left, top + 162, f"{place}", 13, MUTED)
        color = GREEN if right else INK
        page.text(left + 152, top + 162, f"{score:.3f}", 13, color, bold=right, align="right")
        if right:
            page.tick(left + 126, top + 4)
        left += 164
    return top + 180


def _draw_captions(page, left, top, row):
    top += 4
    for place, (caption, score, right) in enumerate(_results(row), start=1):
        words = [(word, None) for word in caption.split()]
        bottom = page.paragraph(left + 96, top + 5, 664, words, 14, max_lines=2)
        page.frame(left, top, 808, bottom - top + 6, right)
        page.text(left + 12, top + 6, f"{place}", 13, MUTED)
        page.text(left + 36, top + 6, f"{score:.3f}", 13, GREEN if right else INK, right)
        if right:
            page.tick(left + 782, top)
        top = bottom + 14
    return top - 8


def _draw_example(page, example, difference):
    top, left = page.top, MARGIN + 3 * 208 + 12
    for column, image in enumerate((example["image"], example["adversarial_image"], difference)):
        page.picture(MARGIN + column * 208, top, 192, image)
        page.frame(MARGIN + column * 208, top, 192, 192, right=False)
    before, after = _mark_changes(example["caption"], example["adversarial_caption"])
    width = WIDTH - MARGIN - left
    page.text(left, top - 4, "caption", 12, MUTED)
    bottom = page.paragraph(left, top + 14, width, before, 15, max_lines=8)
    unchanged = " (unchanged)" if before == after else ""
    page.text(left, bottom + 8, f"adversarial caption{unchanged}", 12, MUTED)
    bottom = page.paragraph(left, bottom + 26, width, after, 15, max_lines=8) + 8
    for key, label in (("image_rank", "image query"), ("text_rank", "text query")):
        if example.get(key) is not None:
            _draw_ranks(page, left, bottom, label, *example[key])
            bottom += 24
    if example.get("retrieved_caption") is not None:
        page.text(left, bottom + 6, "the adversarial image now retrieves", 12, MUTED)
        words = [(word, None) for word in example["retrieved_caption"].split()]
        bottom = page.paragraph(left, bottom + 24, width, words, 14, max_lines=4)
    if example.get("retrieved_image") is not None:
        page.text(left, bottom + 30, "the adversarial caption now retrieves", 12, MUTED)
        page.frame(left + 252, bottom + 8, 64, 64, right=False)
        bottom = page.picture(left + 252, bottom + 8, 64, example["retrieved_image"])
    page.top = max(top + 192, bottom) + 24


def _draw_ranks(page, left, top, label, before, after):
    page.text(left, top + 2, label, 12, MUTED)
    x = page.text(left + 92, top, f"rank {before:,}  →  ", 15)
    color = INK if after == before else RED if after > before else GREEN
    page.text(x, top, f"{after:,}", 15, color, bold=True)


def _mark_changes(before, after):
    """Two captions as lists of (word, colour or None); changed words get a colour and brackets."""
    old, new = before.split(), after.split()
    marked = [(word, None) for word in old], [(word, None) for word in new]
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a_start, a_stop, b_start, b_stop in matcher.get_opcodes():
        if kind == "equal":
            continue
        for words, start, stop, color in zip(
            marked, (a_start, b_start), (a_stop, b_stop), (BLUE, RED), strict=True
        ):
            words[start:stop] = [(f"[{word}]", color) for word, _ in words[start:stop]]
    return marked


class _Page:
    """Drawings in pixels from the top left; they become a figure when the height is known."""

    def __init__(self, path, title):
        self.path = _check_path(path)
        _import_matplotlib()
        from matplotlib.backends.backend_agg import RendererAgg

        self.ruler = RendererAgg(1, 1, 100)
        self.drawings = []
        self.top = MARGIN
        if title:
            words = [(word, INK) for word in title.split()]
            self.top = self.paragraph(MARGIN, self.top, WIDTH - 2 * MARGIN, words, 22, 3) + 16

    def text(self, x, top, text, size=14, color=INK, bold=False, align="left"):
        """One line of text; returns its right end if aligned left."""
        text, font = _clean(text), _font(size, bold)

        def draw(figure, height, identity):
            figure.text(
                x,
                height - top - size,
                text,
                color=color,
                fontproperties=font,
                ha=align,
                va="baseline",
                parse_math=False,
                usetex=False,
                transform=identity,
            )

        self.drawings.append(draw)
        return x + self._width(text, font)

    def paragraph(self, x, top, width, words, size, max_lines):
        """Wrapped words, (text, colour or None), coloured ones bold; returns the bottom."""
        plain = _font(size, False)
        space = self._width("n n", plain) - self._width("nn", plain)

        def measure(word):
            return self._width(word[0], _font(size, word[1] is not None))

        words = [(_clean(text), color) for text, color in words]
        for line in _wrap(words, width, measure, space, max_lines):
            position = x
            for text, color in line:
                self.text(position, top, text, size, color or INK, color is not None)
                position += measure((text, color)) + space
            top += round(1.4 * size)
        return top

    def picture(self, x, top, size, image):
        """An image fitted into a square; returns the bottom of the square."""
        pixels = _fit(_to_uint8(image), size)
        x += (size - pixels.shape[1]) // 2
        bottom = top + (size + pixels.shape[0]) // 2

        def draw(figure, height, _):
            figure.figimage(pixels, x, height - bottom, origin="upper")

        self.drawings.append(draw)
        return top + size

    def frame(self, x, top, width, height, right):
        style = {"edgecolor": GREEN, "linewidth": 2.88} if right else {"edgecolor": PALE}
        outside = 2 if right else 1
        self._rectangle(
            x - outside,
            top - outside,
            width + 2 * outside,
            height + 2 * outside,
            **{"facecolor": "none", "linewidth": 0.72, **style},
        )

    def tick(self, x, top):
        self._rectangle(x, top, 26, 24, facecolor=GREEN, edgecolor="none")
        self.text(x + 13, top + 2, "✓", 17, "white", bold=True, align="center")

    def rule(self):
        self._rectangle(MARGIN, self.top, WIDTH - 2 * MARGIN, 1, facecolor=PALE, edgecolor="none")
        self.top += 18

    def save(self):
        from matplotlib.figure import Figure
        from matplotlib.transforms import IdentityTransform

        height = round(self.top + MARGIN - 20)
        figure = Figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor="white")
        for draw in self.drawings:
            draw(figure, height, IdentityTransform())
        _write(figure, self.path)

    def _rectangle(self, x, top, width, height, **style):
        from matplotlib.patches import Rectangle

        def draw(figure, page_height, identity):
            corner = (x, page_height - top - height)
            style.update(snap=True, transform=identity)
            figure.add_artist(Rectangle(corner, width, height, **style))

        self.drawings.append(draw)

    def _width(self, text, font):
        return self.ruler.get_text_width_height_descent(text, font, False)[0]


def _wrap(words, width, measure, space, max_lines):
    """Lines of words that fit; too long words are cut, a too long text ends in an ellipsis."""
    lines, used = [[]], 0.0
    for piece in (piece for word in words for piece in _cut(word, width, measure)):
        needed = measure(piece)
        if lines[-1] and used + space + needed > width:
            if len(lines) == max_lines:
                _shorten(lines[-1], width, measure, space)
                break
            lines.append([])
            used = 0.0
        used += needed + (space if lines[-1] else 0.0)
        lines[-1].append(piece)
    return lines


def _shorten(line, width, measure, space):
    line.append(("…", None))
    while len(line) > 1 and _length(line, measure, space) > width:
        text, color = line.pop(-2)
        if len(line) == 1 and len(text) > 1:
            line.insert(0, (text[:-1], color))


def _length(line, measure, space):
    return sum(measure(word) for word in line) + space * (len(line) - 1)


def _cut(word, width, measure):
    """Yield a word in pieces that fit."""
    text, color = word
    while text:
        # Measuring is slow, and no character that fills a line is narrower than three pixels.
        sizes = range(1, min(len(text), max(1, int(width) // 3)) + 1)
        size = bisect.bisect_right(sizes, width, key=lambda size: measure((text[:size], color)))
        yield text[: max(1, size)], color
        text = text[max(1, size) :]


def _clean(text):
    """The text with what the font cannot draw replaced by an empty box."""
    cleaned = []
    for character in text:
        category = unicodedata.category(character)
        # Joiners and variation selectors belong to the character before them.
        if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
            continue
        if character.isspace() or category == "Cc":
            character = " "
        cleaned.append(character if ord(character) in _drawable() else "▯")
    return "".join(cleaned)


@functools.cache
def _drawable():
    """Code points that both weights of the font have."""
    from matplotlib.font_manager import get_font

    names = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
    plain, bold = (set(get_font(_font_path(name)).get_charmap()) for name in names)
    return plain & bold


def _font(size, bold):
    from matplotlib.font_manager import FontProperties

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return FontProperties(fname=_font_path(name), size=0.72 * size)


def _font_path(name):
    return os.path.join(_import_matplotlib().get_data_path(), "fonts", "ttf", name)


def _fit(pixels, size):
    """An image scaled into a square of `size`, its own pixels kept sharp when it is smaller."""
    from PIL import Image

    ratio = size / max(pixels.shape[:2])
    shape = [max(1, round(ratio * side)) for side in pixels.shape[1::-1]]
    image = Image.fromarray(pixels)
    if ratio > 1.0:
        factor = int(np.ceil(ratio))
        image = image.resize([factor * side for side in image.size], Image.Resampling.NEAREST)
        return np.asarray(image.resize(shape, Image.Resampling.BOX))
    return np.asarray(image.resize(shape, Image.Resampling.LANCZOS))


def _to_float(image):
    image = np.asarray(image)
    return image / 255.0 if image.dtype == np.uint8 else image.astype(np.float64)


def _to_uint8(image):
    image = np.asarray(image)
    return image if image.dtype == np.uint8 else np.round(255.0 * image).astype(np.uint8)


def _difference(example):
    return _to_float(example["adversarial_image"]) - _to_float(example["image"])


def _nice_factor(largest):
    """The largest round factor that keeps gray plus the difference inside the range."""
    if largest == 0.0:
        return 1.0
    limit = 0.5 / largest
    power = 10.0 ** np.floor(np.log10(limit))
    steps = [step * power for step in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)]
    return max([step for step in steps if step <= limit * (1.0 + 1e-6)], default=power)


def _results(row):
    return zip(row["results"], row["scores"], row["correct"], strict=True)


def _write(figure, path):
    """Write to a temporary file beside `path`, then move it there."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _import_matplotlib():
    try:
        import matplotlib
        import matplotlib.style
    except ImportError as error:
        raise ImportError(
            "Pictures are drawn with matplotlib, which is not installed. Run "
            '`pip install "rocmr-keras[pictures]"`.'
        ) from error
    return matplotlib


def _check_path(path):
    path = os.path.abspath(os.fspath(path))
    if not path.lower().endswith(".png"):
        raise ValueError(f"`path` must end in '.png'. Received: path={path!r}. Rename the file.")
    return path


def _check_entries(entries, name, keys, optional=()):
    if not isinstance(entries, (list, tuple)) or not entries:
        raise ValueError(
            f"`{name}` must be a non-empty list of dicts. Received: {type(entries).__name__} "
            f"{entries!r:.60}. Pass one dict with the keys {list(keys)} for each."
        )
    for position, entry in enumerate(entries):
        given = set(entry) if isinstance(entry, dict) else set()
        missing, unknown = set(keys) - given, given - set(keys) - set(optional)
        if missing or unknown:
            raise ValueError(
                f"`{name}[{position}]` must be a dict with the keys {list(keys)}"
                + (f" and optionally {list(optional)}" if optional else "")
                + f". Received: {type(entry).__name__} with missing keys {sorted(missing)} and "
                f"unknown keys {sorted(unknown)}. Add or remove these."
            )


def _check_results(row, name):
    _check_item(row["query"], f"{name}['query']")
    count = len(row["results"])
    if not 1 <= count <= NUM_RESULTS or not count == len(row["scores"]) == len(row["correct"]):
        raise ValueError(
            f"`{name}` must have 1 to {NUM_RESULTS} results with a score and a `correct` each. "
            f"Received: {count} results, {len(row['scores'])} scores, {len(row['correct'])} "
            "correct. Cut all three lists to the first five."
        )
    for position, result in enumerate(row["results"]):
        _check_item(result, f"{name}['results'][{position}]")
    if len({isinstance(result, str) for result in row["results"]}) > 1:
        raise ValueError(
            f"`{name}['results']` must be all images or all strings. Received: both. Make two "
            "rows of them."
        )
    _check_rank(row["rank"], f"{name}['rank']")


def _check_example(example, name):
    for key in ("image", "adversarial_image", "retrieved_image"):
        if example.get(key) is not None:
            _check_image(example[key], f"{name}['{key}']")
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
            _check_rank(rank, f"{name}['{key}']")


def _check_item(item, name):
    if not isinstance(item, str):
        _check_image(item, name)


def _check_image(image, name):
    pixels = np.asarray(image)
    shaped = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
    # `not (... <= 1)` also catches NaN.
    inside = shaped and pixels.dtype.kind == "f" and 0 <= pixels.min() and pixels.max() <= 1
    if not shaped or not (inside or pixels.dtype == np.uint8):
        extent = f", values {pixels.min()} to {pixels.max()}" if shaped else ""
        raise ValueError(
            f"`{name}` must be an array of shape `(height, width, 3)`, uint8 or float in [0, 1]. "
            f"Received: shape {pixels.shape}, type {pixels.dtype}{extent}. Divide float images "
            "of 0 to 255 by 255."
        )


def _check_rank(rank, name):
    if not isinstance(rank, (int, np.integer)) or rank < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {rank!r}. Ranks count from 1, as "
            "`query_ranks` gives them."
        )


def _check_curves(curves, chance):
    if not isinstance(curves, dict) or not 1 <= len(curves) <= len(CURVE_MARKERS):
        raise ValueError(
            f"`curves` must be a dict of 1 to {len(CURVE_MARKERS)} curves. Received: "
            f"{type(curves).__name__} {curves!r:.60}. Pass a label and "
            "{'epsilon': ..., 'recall': ...} for each model."
        )
    for label, curve in curves.items():
        _check_entries([curve], f"curves[{label!r}]", ("epsilon", "recall"))
        values = [np.asarray(curve[key], dtype=float) for key in ("epsilon", "recall")]
        same = values[0].ndim == 1 and values[0].size and values[0].shape == values[1].shape
        if not same or not all((0 <= value).all() and (value <= 1).all() for value in values):
            raise ValueError(
                f"`curves[{label!r}]` must have as many epsilons as recalls, all in [0, 1]. "
                f"Received: epsilon={curve['epsilon']!r}, recall={curve['recall']!r}. Write "
                "epsilon as 4 / 255 and recall as a fraction."
            )
    if chance is not None and not 0 <= chance <= 1:
        raise ValueError(
            f"`chance` must be in [0, 1] or None. Received: chance={chance!r}. Pass 1 / "
            "num_items for recall@1."
        )
