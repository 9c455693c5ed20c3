"""matplotlib, only when a picture is drawn; a PNG, whole or not at all."""

import os


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


def check_path(path):
    path = os.path.abspath(os.fspath(path))
    if not path.lower().endswith(".png"):
        raise ValueError(f"`path` must end in '.png'. Received: path={path!r}. Rename the file.")
    return path


def write(figure, path):
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
