import numpy as np

from rocmr_keras.reports.pictures.checks import check_entries
from rocmr_keras.reports.pictures.curve_figure import COLORS
from rocmr_keras.reports.pictures.curve_figure import curve_figure
from rocmr_keras.reports.pictures.curve_figure import fold
from rocmr_keras.reports.pictures.sheet import MUTED

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
    with curve_figure(path, curves, title, metric) as axes:
        axes.set_xlabel("epsilon (n/255)")
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
        _mark_levels(axes, curves)


def _mark_levels(axes, curves):
    levels = {255 * float(epsilon) for curve in curves.values() for epsilon in curve["epsilon"]}
    levels = np.unique(np.round(sorted(levels), 3))
    # Ticks at the measured levels, unless their labels would touch.
    if np.diff(levels).min(initial=np.inf) >= levels.max() / 24:
        axes.set_xticks(levels, [f"{level:g}" for level in levels])


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
