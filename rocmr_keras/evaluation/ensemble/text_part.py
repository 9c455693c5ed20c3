"""The text part of AutoAttack: what it does to captions, as far as a model can read them."""

from rocmr_keras.attacks import CharacterEdits
from rocmr_keras.attacks import HumanEdits
from rocmr_keras.attacks import TokenSubstitution
from rocmr_keras.attacks import WholeWords

#: The kinds of change and what their stages are called. The first two are searches by
#: gradient, the others try strings.
SEARCHES = {"words": "words", "tokens": "substitution"}
STRINGS = {"edits": "edits", "characters": "characters"}

#: What a person can write.
WRITTEN = ("words", "edits", "characters")


def text_part(model, text=None):
    """Returns the kinds of change that AutoAttack makes to captions of a model.

    Args:
        model: A `DualEncoder` with a preprocessor, or an `Adapter`.
        text: Collection of names, or `None` for `WRITTEN`: what a person can write. Of a
            model that does not say which tokens are words the default is then free tokens, and
            without a tokenizer of strings no strings are tried. Defaults to `None`.

    Returns:
        Tuple of names.

    Raises:
        ValueError: If a name is unknown, or the model does not have what it needs.
    """
    possible = _possible(model)
    if text is None:
        search = "words" if "words" in possible else "tokens"
        return (search, *(name for name in STRINGS if name in possible))
    names = check_text(text)
    missing = [name for name in names if name not in possible]
    if missing:
        raise ValueError(
            f"`text` must name what the model's preprocessor can do: {possible}. Received: "
            f"text={names}. Leave out {missing}, or give the preprocessor a `whole_word_mask` "
            "(words) and a `tokenize` of strings (edits, characters)."
        )
    return names


def check_text(text):
    """Returns names of kinds of change as a tuple, or raises a `ValueError`."""
    names = () if isinstance(text, str) else tuple(text)
    known = (*SEARCHES, *STRINGS)
    if not names or not set(names) <= set(known) or len(set(names)) < len(names):
        raise ValueError(
            f"`text` must be different names among {known}. Received: text={text!r}. "
            "Write e.g. text=('tokens',)."
        )
    return names


def text_searches(budget):
    """Returns the searches by gradient: a dict from names of stages to `TokenSubstitution`."""
    masks = {"words": WholeWords(), "tokens": None}
    return {
        name: _search(budget, masks[kind])
        for kind, name in SEARCHES.items()
        if kind in (budget["text"] or ())
    }


def string_attacks(budget):
    """Returns the attacks on strings: a dict from names of stages to `StringAttack`."""
    if not set(STRINGS) & set(budget["text"] or ()):
        return {}
    count, seed = budget["num_substitutions"], budget["seed"]
    attacks = {
        "edits": HumanEdits(count, fillers=budget["fillers"], seed=seed),
        "characters": CharacterEdits(count, budget["num_positions"], seed=seed),
    }
    return {name: attacks[kind] for kind, name in STRINGS.items() if kind in budget["text"]}


def _search(budget, mask):
    num_substitutions = budget["num_substitutions"]
    return TokenSubstitution(
        num_substitutions,
        budget["num_candidates"],
        seed=budget["seed"],
        candidates=mask,
        # After the last substitution a beam has nothing to continue from.
        beam_size=1 if num_substitutions == 1 else 4,
    )


def _possible(model):
    preprocessor = getattr(model, "preprocessor", None)
    knows_words = getattr(preprocessor, "whole_word_mask", None) is not None
    strings = tuple(STRINGS) if reads_strings(preprocessor) else ()
    return (*(("words",) if knows_words else ()), "tokens", *strings)


def reads_strings(preprocessor):
    """Tokenizers run in TensorFlow, which need not be installed where a pack has the tokens."""
    try:
        preprocessor.tokenize(["a"])
    except (AttributeError, ImportError, NotImplementedError):
        return False
    return True
