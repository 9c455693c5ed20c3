import inspect

from rocmr_keras.data.emoji.load import load_emoji
from rocmr_keras.data.formats.albef import load_albef
from rocmr_keras.data.formats.coco import load_coco
from rocmr_keras.data.formats.csv_table import load_csv
from rocmr_keras.data.formats.flickr_tokens import load_flickr_tokens
from rocmr_keras.data.formats.folder import load_folder
from rocmr_keras.data.formats.karpathy import load_karpathy

_LOADERS = {
    "albef": load_albef,
    "coco": load_coco,
    "csv": load_csv,
    "emoji": load_emoji,
    "flickr_tokens": load_flickr_tokens,
    "folder": load_folder,
    "karpathy": load_karpathy,
}
# Where these are `None` they are missing.
_PATHS = ("captions", "images")


def load(name, **options):
    """Loads a data set by the name of its format.

    Nothing is downloaded: `"emoji"` comes from pip packages, everything else from the
    user's disk. Files that cannot be used are skipped by name up to a share of 1 %,
    `max_bad_fraction`; above it loading stops with the list.

    Args:
        name: String, one of
            `"emoji"`, pictures and names of emoji (`rocmr_keras.data.emoji.load.load_emoji`);
            `"karpathy"`, Flickr8k, Flickr30K and MSCOCO in Karpathy's splits;
            `"albef"`, the JSON lists of ALBEF and SGA;
            `"coco"`, COCO's own `captions_*.json`;
            `"flickr_tokens"`, `name.jpg#0<TAB>caption` with lists of file names;
            `"csv"`, a table with named columns;
            `"folder"`, `name.jpg` beside `name.txt`.
        **options: Arguments of that loader.

    Returns:
        A dict of `rocmr_keras.data.Split` by `"train"`, `"validation"` and `"test"`, those
        that there are.

    Raises:
        ValueError: If the name or an option is unknown, an option is missing, a file is not in
            its format, or too much is bad.

    Example:

    ```python
    splits = rocmr_keras.data.load(
        "karpathy", captions="dataset_flickr30k.json", images="flickr30k-images"
    )
    splits["test"]  # <Split name='test' images=1000 captions=5000 ids=1000>
    ```
    """
    if name not in _LOADERS:
        raise ValueError(
            f"`name` must be one of {sorted(_LOADERS)}. Received: name={name!r}. "
            "Data in another format can be passed as a `rocmr_keras.data.Split`."
        )
    loader = _LOADERS[name]
    given = {key: value for key, value in options.items() if value is not None or key not in _PATHS}
    try:
        inspect.signature(loader).bind(**given)
    except TypeError as error:
        raise ValueError(
            f"The options of {name!r} must be among {list(inspect.signature(loader).parameters)}. "
            f"Received: {sorted(given)}: {error}. Correct the name, or pass what is missing."
        ) from error
    return loader(**given)
