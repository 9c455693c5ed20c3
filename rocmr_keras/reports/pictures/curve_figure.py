"""The frame that pictures of recall curves share."""

import contextlib
import textwrap

import numpy as np

from rocmr_keras.reports.pictures.lettering import clean
from rocmr_keras.reports.pictures.png import check_path
from rocmr_keras.reports.pictures.png import import_matplotlib
from rocmr_keras.reports.pictures.png import write
from rocmr_keras.reports.pictures.sheet import PALE

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1f2328")


@contextlib.contextmanager
def curve_figure(path, curves, title, metric):
    """Gives axes from 0 on, recall in percent upwards, and writes the figure in the end.

    Args:
        path: As in `recall_against_epsilon`.
        curves: Dict from a label to a dict with `"recall"`, fractions.
        title: String or `None`.
        metric: String.
    """
    path, matplotlib = check_path(path), import_matplotlib()
    from matplotlib.figure import Figure

    settings = {"text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 11}
    with matplotlib.style.context(["default", settings]):
        figure = Figure(figsize=(8.0, 4.5), dpi=150, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = figure.add_subplot()
        yield axes
        levels = percent_levels(100 * max(max(curve["recall"]) for curve in curves.values()))
        axes.set_ylim(0, levels[-1])
        axes.set_yticks(levels)
        axes.set_xlim(left=0)
        axes.set_ylabel(f"{clean(metric)} (%)")
        axes.set_title(fold(title or "", 62), loc="left", fontweight="bold", fontsize=13, pad=12)
        axes.grid(axis="y", color=PALE, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False)
        write(figure, path)


def percent_levels(highest):
    """Round numbers of percent, from 0 to above the highest recall."""
    step = 20 if highest > 50 else 10 if highest > 25 else 5 if highest > 10 else 2
    return np.arange(0, min(100, step * np.ceil(highest / step + 0.2)) + 1, step)


def fold(text, width):
    """Breaks a text into lines of at most so many characters."""
    return "\n".join(textwrap.wrap(clean(text), width))
