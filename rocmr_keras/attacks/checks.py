"""Checks of arguments that several attacks share."""

import numbers

import keras
from keras import ops

from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.strings.string_attack import StringAttack

_ANY_KIND = (Attack, StringAttack)
_EXAMPLES = {"images": "PGD(epsilon=4 / 255)", "texts": "TokenSubstitution()"}

#: What the batches of evaluation hold of the queries; those of training may hold more.
QUERY_KEYS = ("images", "token_ids", "padding_mask")


def check_budget(name, value, optional=False):
    """Returns `value`, a plain one, if it is a finite number that is not negative."""
    if value is None and optional:
        return None
    if not isinstance(value, numbers.Real) or not 0 <= value < float("inf"):
        raise ValueError(
            f"`{name}` must be a finite number of at least 0. "
            f"Received: {name}={value!r}. Write e.g. {name}=4 / 255."
        )
    # A number of NumPy has no place in a config.
    return value if isinstance(value, (int, float)) else float(value)


def check_radius(epsilon, norm, value_range):
    """Returns `epsilon` if it is a budget, and not one in units of bytes."""
    epsilon = check_budget("epsilon", epsilon)
    lowest, highest = check_range("value_range", value_range)
    if norm == "linf" and epsilon > highest - lowest:
        raise ValueError(
            "`epsilon` is in units of `value_range`, and beyond its width nothing is left of an "
            f"image. Received: epsilon={epsilon}, value_range={tuple(value_range)}. "
            f"Was {epsilon:g} / 255 meant?"
        )
    return epsilon


def check_count(name, value, least=1):
    """Returns `value` as an `int` if it is an integer of at least `least`."""
    # In Python `True` is an integer too.
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(
            f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}."
        )
    return int(value)


def check_range(name, value):
    """Returns `value` as a tuple if it is a pair of increasing numbers."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not pair[0] < pair[1]:
        raise ValueError(
            f"`{name}` must be a pair (lowest, highest). "
            f"Received: {name}={value!r}. Images in [0, 1] have {name}=(0.0, 1.0)."
        )
    return pair


def check_float_images(images):
    """Returns `images` in float32; refuses integers, whose range is another."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "float" not in dtype:
        raise ValueError(
            "An attack takes float images in its `value_range`. "
            f"Received: inputs of dtype {dtype}. Divide uint8 pixels by 255."
        )
    return ops.cast(images, "float32")


def check_attack(name, attack, side, kinds=_ANY_KIND, batch_keys=None, writes_text=False):
    """Refuses an attack that does not fit its place.

    Args:
        name: String, the argument it was given as.
        attack: What was given.
        side: `"images"` or `"texts"`, what it must perturb.
        kinds: Tuple of classes, of one of which it must be an instance. Defaults to all
            attacks.
        batch_keys: Tuple of strings, what it may take out of a batch, or `None` for
            whatever it wants. Defaults to `None`.
        writes_text: Boolean, whether people must be able to read what it makes of a text.
            Defaults to `False`.

    Raises:
        ValueError: If it does not fit.
    """
    is_class = isinstance(attack, type)
    if is_class or not isinstance(attack, _ANY_KIND):
        received = attack.__name__ if is_class else f"{attack!r:.200}"
        raise ValueError(
            f"`{name}` must be an attack{', not its class' * is_class}. Received: {name}="
            f"{received}. Write e.g. {f'{received}(...)' if is_class else _EXAMPLES[side]}."
        )
    rule = _broken_rule(attack, side, kinds, batch_keys, writes_text)
    if rule:
        raise ValueError(
            f"`{name}` must {rule}. Received: {type(attack).__name__}, a kind of "
            f"{type(attack).__base__.__name__}, which perturbs {attack.side}. "
            f"Use e.g. {_EXAMPLES[side]}."
        )


def _broken_rule(attack, side, kinds, batch_keys, writes_text):
    if attack.side != side:
        return f"perturb {side}"
    if not isinstance(attack, kinds):
        return f"be a kind of {' or '.join(kind.__name__ for kind in kinds)}"
    missing = [] if batch_keys is None else set(getattr(attack, "batch_keys", ())) - {*batch_keys}
    if missing:
        return f"do without {sorted(missing)}, which only a batch of training has"
    if writes_text and not attack.writes_text:
        return "write a text that can be read"
    return None
