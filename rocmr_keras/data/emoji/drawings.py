import hashlib
import os
import pathlib

from rocmr_keras.data.emoji.captions import code_points
from rocmr_keras.files import replacing

SKIN_TONES = frozenset(("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"))


def drawings_in(folder, skin_tones=False):
    """Lists the drawings of one style, by concept.

    Args:
        folder: Path of a folder of PNG or SVG files named by code points, such
            as `1f34e.png`.
        skin_tones: Boolean, whether drawings in a skin tone count, as drawings of
            the concept without it. Defaults to `False`.

    Returns:
        A dict of code points to a sorted list of paths.

    Raises:
        ValueError: If the folder holds no such file.
    """
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.*")):
        codes = code_points(path.stem) if path.suffix in (".png", ".svg") else ()
        concept = tuple(code for code in codes if code not in SKIN_TONES)
        if codes and (skin_tones or concept == codes):
            found.setdefault(concept, []).append(path)
    if not found:
        raise ValueError(
            "A folder of drawings must hold PNG or SVG files named by code points. "
            f"Received: {str(folder)!r}, which holds none. Pass the folder of the files."
        )
    return found


def rendered(path, size, cache_dir):
    """Renders an SVG file once, on white; other files are handed back.

    Args:
        path: `pathlib.Path` of a drawing.
        size: Integer, height and width of the rendering in pixels.
        cache_dir: `pathlib.Path` where renderings are kept.

    Returns:
        A `pathlib.Path` of a file that TensorFlow can decode.
    """
    if path.suffix != ".svg":
        return path
    # By what it shows, so that a new release of a style is rendered anew.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    target = cache_dir / f"{size}px" / f"{path.stem}.{digest}.png"
    if not target.exists():
        import resvg_py

        image = resvg_py.svg_to_bytes(
            svg_path=str(path), width=size, height=size, background="white", skip_system_fonts=True
        )
        with replacing(target) as temporary:
            temporary.write_bytes(bytes(image))
    return target


def default_cache_dir():
    """Returns the folder for renderings, beside the data sets that Keras keeps.

    Returns:
        A `pathlib.Path` under `$KERAS_HOME`, or `~/.keras` where that is not set.
    """
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return pathlib.Path(home) / "datasets" / "rocmr_keras"
