import textwrap

import numpy as np

from rocmr_keras.reports.pictures.checks import check_entries
from rocmr_keras.reports.pictures.lettering import clean
from rocmr_keras.reports.pictures.png import check_path
from rocmr_keras.reports.pictures.png import import_matplotlib
from rocmr_keras.reports.pictures.png import write
from rocmr_keras.reports.pictures.sheet import MUTED
from rocmr_keras.reports.pictures.sheet import PALE

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1f2328")
_MARKERS = "os^Dv*X"


def recall_against_epsilon(path, curves, title=None, chance=None, metric="recall@1"):
    """Draw recall over the strength of the attack for several models, as a PNG.

    Args:
        path: String or path of the PNG file, see `retrieval_sheet`.
        curves: Non-empty dict from a label to a dict with `"epsilon"`, a list of floats in
            `[0, 1]` (`4 / 255` for four gray levels; 0 is the clean recall), and `"recall"`, a
            list of as many floats in `[0, 1]`, or what `rocmr_keras.evaluation.epsilon_curve`
            returns. At most seven labels.
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
    path, matplotlib = check_path(path), import_matplotlib()
    from matplotlib.figure import Figure

    settings = {"text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 11}
    with matplotlib.style.context(["default", settings]):
        figure = Figure(figsize=(8.0, 4.5), dpi=150, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = figure.add_subplot()
        for (label, curve), color, marker in zip(curves.items(), COLORS, _MARKERS, strict=False):
            epsilon, recall = (np.asarray(curve[key], float) for key in ("epsilon", "recall"))
            order = np.argsort(epsilon)
            axes.plot(
                255 * epsilon[order],
                100 * recall[order],
                color=color,
                marker=marker,
                linewidth=2,
                markersize=7,
                label=fold(str(label), 26),
                clip_on=False,
                zorder=3,
            )
        if chance is not None:
            axes.axhline(100 * chance, color=MUTED, linestyle="--", linewidth=1.2, label="chance")
        _style_axes(axes, curves)
        axes.set_ylabel(f"{clean(metric)} (%)")
        axes.set_title(fold(title or "", 62), loc="left", fontweight="bold", fontsize=13, pad=12)
        figure.legend(loc="outside right center", frameon=False)
        write(figure, path)


def _style_axes(axes, curves):
    levels = {255 * float(epsilon) for curve in curves.values() for epsilon in curve["epsilon"]}
    levels = np.unique(np.round(sorted(levels), 3))
    # Ticks at the measured levels, unless their labels would touch.
    if np.diff(levels).min(initial=np.inf) >= levels.max() / 24:
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
    highest = max(max(curve["recall"]) for curve in curves.values())
    levels = percent_levels(100 * highest)
    axes.set_ylim(0, levels[-1])
    axes.set_yticks(levels)
    axes.set_xlim(left=0)
    axes.set_xlabel("epsilon (n/255)")
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def percent_levels(highest):
    """Round numbers of percent, from 0 to above the highest recall."""
    step = 20 if highest > 50 else 10 if highest > 25 else 5 if highest > 10 else 2
    return np.arange(0, min(100, step * np.ceil(highest / step + 0.2)) + 1, step)


def fold(text, width):
    return "\n".join(textwrap.wrap(clean(text), width))


def _check_curves(curves, chance):
    if not isinstance(curves, dict) or not 1 <= len(curves) <= len(_MARKERS):
        raise ValueError(
            f"`curves` must be a dict of 1 to {len(_MARKERS)} curves. Received: "
            f"{type(curves).__name__} {curves!r:.60}. Pass a label and "
            "{'epsilon': ..., 'recall': ...} for each model."
        )
    for label, curve in curves.items():
        optional = ("ranks", "losses")
        check_entries([curve], f"curves[{label!r}]", ("epsilon", "recall"), optional)
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
