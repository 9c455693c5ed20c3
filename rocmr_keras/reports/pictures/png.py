"""matplotlib, imported only when a picture is drawn, and what it writes."""

import os

from rocmr_keras.files import replacing


def import_matplotlib():
    try:
        import matplotlib
        import matplotlib.style
    except ImportError as error:
        raise ImportError(
            "Pictures are drawn with matplotlib, which is not installed. Run "
            '`pip install "rocmr-keras[pictures]"`.'
        ) from error
    return matplotlib


def check_path(path, ending=".png"):
    path = os.path.abspath(os.fspath(path))
    if not path.lower().endswith(ending):
        raise ValueError(
            f"`path` must end in '{ending}'. Received: path={path!r}. Rename the file."
        )
    return path


def write(figure, path):
    """Writes a figure as a PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with replacing(path) as temporary, open(temporary, "wb") as file:
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
