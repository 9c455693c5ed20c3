"""A line chart as SVG, whose colours follow the page's."""

from rocmr_keras.reports.html.element import element
from rocmr_keras.reports.pictures.curve_figure import percent_levels

_WIDTH, _HEIGHT = 520, 300
_LEFT, _TOP, _BOTTOM = 44, 14, 46
_LINE = 15
_LONGEST_LABEL = 18


def chart(title, lines, x_label):
    """Builds a figure of recall in percent.

    Args:
        title: String above it.
        lines: List of `(label, xs, ys)`, ys being fractions, at most seven.
        x_label: String below it.
    """
    cut = [_shorten(label) for label, _, _ in lines]
    right = _WIDTH - 24 - 8 * max(len(label) for label in cut)
    levels = percent_levels(100 * max(max(ys) for _, _, ys in lines))
    largest = max(max(xs) for _, xs, _ in lines)

    def place(x, y):
        across = _LEFT + (right - _LEFT) * x / largest
        return across, _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - 100 * y / levels[-1])

    drawn = [
        _line(number, [place(x, y) for x, y in zip(xs, ys)], label, xs, ys)
        for number, (label, xs, ys) in enumerate(lines)
    ]
    ends = [place(xs[-1], ys[-1])[1] for _, xs, ys in lines]
    labels = [
        element("text", text, x=right + 10, y=f"{y + 4:.1f}", class_=f"label s{number % 7}")
        for number, (text, y) in enumerate(zip(cut, _apart(ends)))
    ]
    svg = element(
        "svg",
        _grid(levels, place, right),
        _ticks(sorted({x for _, xs, _ in lines for x in xs}), place),
        _text((_LEFT + right) / 2, _HEIGHT - 6, x_label, "middle"),
        drawn,
        labels,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{title}: recall in percent",
    )
    return element("figure", element("figcaption", title, element("small", "recall, %")), svg)


def _line(number, points, label, xs, ys):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [
        element(
            "circle",
            element("title", f"{label}: {100 * y:.1f} % at {x:g}"),
            cx=f"{across:.1f}",
            cy=f"{down:.1f}",
            r=4,
        )
        for (across, down), x, y in zip(points, xs, ys)
    ]
    return element("g", element("polyline", points=path), dots, class_=f"line s{number % 7}")


def _grid(levels, place, right):
    parts = []
    for level in levels:
        _, y = place(0, level / 100)
        rule = {"x1": _LEFT, "x2": right, "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        parts.append(element("line", class_="grid", **rule))
        parts.append(_text(_LEFT - 8, y + 4, f"{level:g}", "end"))
    return parts


def _ticks(values, place):
    """A number below each measured budget that leaves room for it."""
    parts, last = [], None
    for value in values:
        x, y = place(value, 0)
        if last is None or x - last > 28:
            parts.append(_text(x, y + 18, f"{round(value, 3):g}", "middle"))
            last = x
    return parts


def _text(x, y, text, anchor):
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _apart(ends):
    """Moves labels off each other, upwards from the lowest."""
    moved, limit = list(ends), _HEIGHT - _BOTTOM
    for index in sorted(range(len(ends)), key=lambda index: (-ends[index], -index)):
        moved[index] = min(ends[index], limit)
        limit = moved[index] - _LINE
    return moved


def _shorten(label):
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
