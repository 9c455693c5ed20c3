"""Checks that temperature, batch size and repetition do not change the result."""

import numpy as np
from keras import ops

from rocmr_keras.evaluation.encoding.embeddings import encode
from rocmr_keras.evaluation.masking_audit.judgement import fails_unless
from rocmr_keras.evaluation.masking_audit.judgement import judge

# Honest objectives differ by some per cent of the gain; a fifth is more than that.
_LEAST_STRENGTH = 0.8
# So many unattacked images of a hundred move recall by no more than its standard error.
_MOST_STALLED = 0.05
# Half precision has steps of 1/256; kernels of two batch sizes differ by one or two of them.
_MOST_ROUNDING = 1e-2


def temperature(probe):
    """Never more than a caution: attacks on the margin do not depend on the temperature."""
    own = probe.white_box["full"].margins.mean() - probe.clean_margin
    found = probe.attack(probe.pgd(), objective=probe.at_temperature(0.1))[0]
    others = [run.margins.mean() - probe.clean_margin for run in (found, probe.by_margin["full"])]
    # Where no attack adds anything the strength is 1, not 0 / 0.
    strength = (own + 1e-6) / (max(own, *others) + 1e-6)
    explanation = (
        f"The attack adds {own:.4f} to the mean margin, {others[0]:.4f} at a tenth of the inverse "
        f"temperature and {others[1]:.4f} if it climbs the margin. Where the temperature weakens "
        "the attack, read the figures of AutoAttack, which climbs the margin too."
    )
    return judge("pass" if strength >= _LEAST_STRENGTH else "caution", strength, explanation)


def batch_size(probe):
    encoded = probe.encoded
    # Not exactly half, or most images would keep their neighbours.
    size = encoded.batch_size // 2 + 1
    other = encode(encoded.model, encoded.split, size, verbose=0)
    differences = [
        float(np.abs(first - second).max())
        for first, second in [
            (encoded.clean.images, other.images),
            (encoded.clean.texts, other.texts),
        ]
    ]
    explanation = (
        f"In batches of {encoded.batch_size} and {size} the embeddings of images differ by at most "
        f"{differences[0]:.2e}, of texts by {differences[1]:.2e}. A result that depends on its "
        "neighbours is not one of the query."
    )
    return fails_unless(max(differences) <= _MOST_ROUNDING, max(differences), explanation)


def deterministic(probe):
    model, split = probe.encoded.model, probe.encoded.split
    count = probe.encoded.batch_size
    images = ops.convert_to_tensor(model.preprocessor.load_images(list(split.images[:count])))
    tokens = model.preprocessor.tokenize(split.captions[:count])
    differences = [
        _difference(lambda: model.encode_images(images)),
        _difference(lambda: model.encode_texts(tokens["token_ids"], tokens["padding_mask"])),
    ]
    explanation = (
        f"Two encodings of the same images differ by at most {differences[0]:.2e}, of the same "
        f"texts by {differences[1]:.2e}. A tower that draws must be attacked on average."
    )
    return fails_unless(max(differences) <= 1e-5, max(differences), explanation)


def unit_length(probe):
    clean = probe.encoded.clean
    norms = np.linalg.norm(np.concatenate([clean.images, clean.texts]), axis=1)
    furthest = float(np.abs(norms - 1.0).max())
    explanation = (
        f"The length of an embedding differs from 1 by at most {furthest:.2e}. Any other length "
        "is a second temperature, which can cancel the first."
    )
    return fails_unless(furthest <= 1e-3, furthest, explanation)


def zero_gradients(probe):
    """Where the margin has a gradient, only the temperature has swallowed that of the loss."""
    own, margin = (runs["full"].stalled_share for runs in (probe.white_box, probe.by_margin))
    explanation = (
        f"{100 * own:.1f} % of the gradients are zero or not finite, {100 * margin:.1f} % of those "
        "of the margin. Such an image is not attacked at all: look for a quantisation or a "
        "saturated loss."
    )
    if min(own, margin) > _MOST_STALLED:
        return judge("fail", min(own, margin), explanation)
    if own > _MOST_STALLED:
        advice = "Read the figures of AutoAttack, which climbs the margin too."
        return judge("caution", own, f"{explanation} {advice}")
    return judge("pass", own, explanation)


def _difference(encode):
    first, second = (ops.convert_to_numpy(encode()) for _ in range(2))
    return float(np.abs(first - second).max())
