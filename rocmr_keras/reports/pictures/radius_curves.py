import numpy as np

from rocmr_keras.reports.pictures.checks import check_entries
from rocmr_keras.reports.pictures.curve_figure import COLORS
from rocmr_keras.reports.pictures.curve_figure import curve_figure
from rocmr_keras.reports.pictures.curve_figure import fold


def recall_against_radius(path, curves, title=None, metric="certified recall@1"):
    """Draw certified recall over the l2 radius for several models, as a PNG.

    Args:
        path: String or path of the PNG file, see `retrieval_sheet`.
        curves: Non-empty dict from a label to a dict with `"radius"`, a list of floats that are
            not negative, and `"recall"`, a list of as many floats in `[0, 1]`, or what
            `rocmr_keras.evaluation.certified_recall` returns. At most seven labels.
        title: String above the axes, or None. Defaults to `None`.
        metric: String, the name at the vertical axis. Defaults to `"certified recall@1"`.

    Raises:
        ValueError: A `path` that does not end in `.png`, or curves that are not as above.
        ImportError: matplotlib is missing.

    Example:

    ```python
    curves = {"rocmr": {"radius": [0.0, 0.25, 0.5], "recall": [0.4, 0.2, 0.1]}}
    recall_against_radius("certified.png", curves)
    ```
    """
    _check(curves)
    with curve_figure(path, curves, title, metric) as axes:
        axes.set_xlabel("l2 radius, images in [0, 1]")
        for (label, curve), color in zip(curves.items(), COLORS, strict=False):
            radius, recall = (np.asarray(curve[key], float) for key in ("radius", "recall"))
            # What is certified beyond a radius is so up to the next one.
            name = fold(str(label), 26)
            axes.step(radius, 100 * recall, where="post", color=color, linewidth=2, label=name)


def _check(curves):
    if not isinstance(curves, dict) or not 1 <= len(curves) <= len(COLORS):
        raise ValueError(
            f"`curves` must be a dict of 1 to {len(COLORS)} curves. Received: "
            f"{type(curves).__name__} {curves!r:.60}. Pass a label and "
            "{'radius': ..., 'recall': ...} for each model."
        )
    for label, curve in curves.items():
        optional = ("radii", "shares", "clean_recall")
        check_entries([curve], f"curves[{label!r}]", ("radius", "recall"), optional)
        radius, recall = (np.asarray(curve[key], float) for key in ("radius", "recall"))
        same = radius.ndim == 1 and radius.size and radius.shape == recall.shape
        if not same or (np.diff(radius, prepend=0.0) < 0).any() or not _are_shares(recall):
            raise ValueError(
                f"`curves[{label!r}]` must have ascending radii from 0 on and as many recalls in "
                f"[0, 1]. Received: radius={curve['radius']!r:.60}, "
                f"recall={curve['recall']!r:.60}. Write recall as a fraction."
            )


def _are_shares(values):
    return (0 <= values).all() and (values <= 1).all()
