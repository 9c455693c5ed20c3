"""What an attack changed: words of a caption, pixels of an image."""

import difflib

import numpy as np

from rocmr_keras.reports.pictures.sheet import unit_floats


def changed_words(before, after):
    """Compares two captions word by word.

    Args:
        before: String.
        after: String.

    Returns:
        Two lists of `(word, changed)`, one for each caption.
    """
    old, new = before.split(), after.split()
    marked = [(word, False) for word in old], [(word, False) for word in new]
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, a_start, a_stop, b_start, b_stop in matcher.get_opcodes():
        if kind == "equal":
            continue
        for words, start, stop in zip(marked, (a_start, b_start), (a_stop, b_stop), strict=True):
            words[start:stop] = [(word, True) for word, _ in words[start:stop]]
    return marked


def difference(image, adversarial_image):
    """Returns what was added to an image, float in `[-1, 1]`."""
    return unit_floats(adversarial_image) - unit_floats(image)


def nice_factor(largest):
    """Returns the largest round factor that keeps gray plus the difference in `[0, 1]`."""
    if largest == 0.0:
        return 1.0
    limit = 0.5 / largest
    power = 10.0 ** np.floor(np.log10(limit))
    steps = [step * power for step in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)]
    return max([step for step in steps if step <= limit * (1.0 + 1e-6)], default=power)


def magnified(added, factor):
    """Returns a difference as a picture around gray, float in `[0, 1]`."""
    return np.clip(0.5 + factor * added, 0.0, 1.0)
