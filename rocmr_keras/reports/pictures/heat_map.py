import textwrap

import numpy as np

from rocmr_keras.reports.pictures.lettering import clean
from rocmr_keras.reports.pictures.png import check_path
from rocmr_keras.reports.pictures.png import import_matplotlib
from rocmr_keras.reports.pictures.png import write
from rocmr_keras.reports.pictures.sheet import INK
from rocmr_keras.reports.pictures.sheet import MUTED

_LONGEST_NAME = 24


def transfer_heat_map(path, matrix, title=None, metric="recall@1"):
    """Draw what is left of each model under what was found on each, as a PNG heat map.

    A row is the model that was attacked, a column the one that answers; the white-box attack, on
    the diagonal, is framed. The first row is the clean recall.

    Args:
        path: String or path of the PNG file, see `retrieval_sheet`.
        matrix: Dict with `"names"`, a list of `n` strings, `"recall"`, a float array `(n, n)` in
            `[0, 1]`, and `"clean_recall"`, a float array `(n,)`, as
            `rocmr_keras.evaluation.transfer_matrix` returns it.
        title: String above the picture, or None. Defaults to `None`.
        metric: String, what the figures are. Defaults to `"recall@1"`.

    Raises:
        ValueError: A `path` that does not end in `.png`, or a matrix that is not as above.
        ImportError: matplotlib is missing.

    Example:

    ```python
    matrix = {"names": ["a", "b"], "recall": [[0.0, 0.3], [0.4, 0.1]], "clean_recall": [0.5, 0.5]}
    transfer_heat_map("transfer.png", matrix)
    ```
    """
    names, values = _check_matrix(matrix)
    path, matplotlib = check_path(path), import_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    settings = {"text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 11}
    with matplotlib.style.context(["default", settings]):
        size = (3.4 + 1.1 * len(names), 2.0 + 0.75 * len(values))
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = figure.add_subplot()
        highest = max(values.max(), 0.01)
        axes.imshow(values, cmap="Blues", vmin=0.0, vmax=highest, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            color = "white" if value > 0.6 * highest else INK
            axes.text(column, row, f"{100 * value:.1f}", ha="center", va="center", color=color)
        for place in range(len(names)):
            corner = (place - 0.47, place + 0.53)
            style = {"fill": False, "edgecolor": INK, "linewidth": 2, "zorder": 3}
            axes.add_patch(Rectangle(corner, 0.94, 0.94, **style))
        _style_axes(axes, names)
        axes.set_title(clean(title or ""), loc="left", fontweight="bold", fontsize=13, pad=12)
        figure.supxlabel(
            f"{clean(metric)} (%); framed: attacked and answering model are the same",
            fontsize=9,
            color=MUTED,
        )
        write(figure, path)


def _style_axes(axes, names):
    names = [_shorten(name) for name in names]
    axes.set_xticks(range(len(names)), [_in_lines(name) for name in names])
    axes.set_yticks(range(len(names) + 1), ["clean", *names])
    # Apart from the names in place and colour, or they are read as one heading.
    axes.set_xlabel("answering model →", loc="left", labelpad=14, color=MUTED)
    axes.set_ylabel("← attacked model", loc="top", labelpad=14, color=MUTED)
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.axhline(0.5, color="white", linewidth=4, zorder=2)
    axes.spines[:].set_visible(False)


def _in_lines(name):
    """Breaks a name into short lines, behind its joints where it has some."""
    # `textwrap` breaks behind hyphens, but not behind underscores.
    parts = textwrap.wrap(name.replace("_", "_\u200b-"), 14, break_on_hyphens=True)
    return "\n".join(parts).replace("\u200b-", "")


def _shorten(name):
    name = clean(str(name))
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _check_matrix(matrix):
    missing = {"names", "recall", "clean_recall"} - set(matrix)
    if missing:
        raise ValueError(
            f"`matrix` must have names, recall and clean_recall. Received: no {sorted(missing)}. "
            "Pass what `rocmr_keras.evaluation.transfer_matrix` returns."
        )
    names = list(matrix["names"])
    recall, clean_recall = (np.asarray(matrix[key], float) for key in ("recall", "clean_recall"))
    same = recall.shape == (len(names), len(names)) and clean_recall.shape == (len(names),)
    values = np.vstack([clean_recall[None], recall]) if same and names else np.full((1, 1), np.nan)
    if not ((0 <= values) & (values <= 1)).all():
        raise ValueError(
            "`matrix` must hold a recall in [0, 1] for each pair of names. Received: "
            f"{len(names)} names, recall of shape {recall.shape}, clean_recall of shape "
            f"{clean_recall.shape}. Write fractions, not percents."
        )
    return names, values
