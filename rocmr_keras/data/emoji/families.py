import collections
import re

from rocmr_keras.data.emoji.captions import code_points

_PERSONS = {"1F468", "1F469", "1F9D1"}
# Words in which the names of variants of one thing differ.
_VARIANT_WORDS = set(
    "a an and the of with "
    "man woman person men women people boy girl male female adult child old older "
    "left right up down leftwards rightwards upwards downwards facing pointing pointed tilted "
    "red orange yellow green blue light dark purple brown black white grey gray pink "
    "small medium large big heavy first second third quarter last "
    "1st 2nd 3rd uppercase lowercase face oncoming open closed raised lowered horizontal "
    "vertical done not waxing waning crescent gibbous new full increasing decreasing "
    "departure arrival inbox outbox low high one two symbol sign".split()
)
_CLOCK = re.compile(r"o'clock|thirty$")
# Variants that neither a common code point nor the name gives away.
_SAME_THING = (
    ("👨", "👩", "🧑", "👦", "👧", "🧒", "👴", "👵", "🧓", "👶"),
    ("🤴", "👸", "🫅"),
    ("🎅", "🤶", "🧑‍🎄"),
    ("🕺", "💃"),
    ("🌍", "🌎", "🌏", "🌐"),
    ("🐈", "🐱", "😺", "🐈‍⬛"),
    ("🐕", "🐶", "🐩", "🦮"),
    ("🙈", "🙉", "🙊"),
    ("🔇", "🔈", "🔉", "🔊"),
    ("🕐", "🕰️"),
    ("♂️", "♀️", "⚧️"),
)


def families(names):
    """Groups concepts that are variants of one thing.

    Variants by gender, age, hair, direction, colour, size, hour, country of a flag
    and the like look and read so much alike that one in training gives away the
    other in testing. Two concepts are of one family if their emoji share the code
    point that carries the meaning, or if their names are the same but for the
    words in which variants differ; both relations are followed to the end.

    Args:
        names: Dict of code points (tuple of strings) to the concept's name.

    Returns:
        A list of lists of code points, largest family first, in an order that
        depends on the input alone.
    """
    parent = {}
    for codes, name in names.items():
        for key in (_code_key(codes), _name_key(codes, name)):
            _union(parent, ("concept", codes), key)
    for variants in _SAME_THING:
        for variant in variants[1:]:
            _union(parent, ("concept", code_points(variant)), ("concept", code_points(variants[0])))
    groups = collections.defaultdict(list)
    for codes in sorted(names):
        groups[_root(parent, ("concept", codes))].append(codes)
    return sorted(groups.values(), key=lambda group: (-len(group), group))


def _code_key(codes):
    parts = "-".join(codes).split("-200D-")
    # 👩‍🍳 is about the pan, 🏃‍♀️ and 🐦‍🔥 about their first sign.
    if len(parts) > 1 and parts[0] in _PERSONS:
        return ("role", parts[1])
    return ("code", parts[0])


def _name_key(codes, name):
    if codes[0].startswith("1F1") and len(codes) == 2 or codes[0] in ("1F3F4", "1F3F3"):
        return ("name", "flag")
    if codes[-1] == "20E3":
        return ("name", "keycap")
    if _CLOCK.search(name):
        return ("name", "clock")
    words = {word.rstrip("s") for word in name.split() if word not in _VARIANT_WORDS}
    return ("name", " ".join(sorted(words)) or name)


def _root(parent, key):
    while parent.setdefault(key, key) != key:
        key = parent[key]
    return key


def _union(parent, one, other):
    parent[_root(parent, one)] = _root(parent, other)
