"""matplotlib, only when a picture is drawn; a file, whole or not at all."""

import contextlib
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


def check_path(path, ending=".png"):
    path = os.path.abspath(os.fspath(path))
    if not path.lower().endswith(ending):
        raise ValueError(
            f"`path` must end in '{ending}'. Received: path={path!r}. Rename the file."
        )
    return path


@contextlib.contextmanager
def replacing(path):
    """Opens a temporary file beside `path`, for bytes, and moves it there in the end."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write(figure, path):
    """Writes a figure as a PNG, to a temporary name first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
