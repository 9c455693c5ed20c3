"""Checks that temperature, batch size and repetition do not change the result."""

import numpy as np
from keras import ops

from rocmr_keras.evaluation.masking_audit.judgement import SLACK
from rocmr_keras.evaluation.masking_audit.judgement import verdict

# At its own temperature an attack has at least this share of its strength at any other.
_LEAST_STRENGTH = 0.8


def temperature(probe):
    """Strength is measured by the margin, which no temperature changes."""
    clean = probe.loss(probe.encoded.clean.images, "margin")
    own = probe.loss(probe.white_box["full"].embeddings, "margin") - clean
    others = []
    for factor in (0.1, 10.0):
        found = probe.attack(probe.pgd(), objective=probe.at_temperature(factor))[0]
        others.append(probe.loss(found.embeddings, "margin") - clean)
    # Where no attack adds anything the strength is 1, not 0 / 0.
    strength = (own + 1e-6) / (max(own, *others) + 1e-6)
    explanation = (
        f"The attack adds {own:.4f} to the mean margin, {others[0]:.4f} and {others[1]:.4f} with a "
        "tenth and ten times the inverse temperature. A temperature that weakens the attack "
        "saturates the loss."
    )
    return verdict(strength >= _LEAST_STRENGTH, strength, explanation)


def batch_size(probe):
    """Without a random start, the same attack in batches of two sizes."""
    # Not exactly half, or most images would keep their neighbours.
    sizes = probe.encoded.batch_size, probe.encoded.batch_size // 2 + 1
    losses = [
        probe.attack(probe.pgd(random_start=False), batch_size=size)[0].loss for size in sizes
    ]
    difference = abs(losses[0] - losses[1])
    explanation = (
        f"In batches of {sizes[0]} the mean loss is {losses[0]:.4f}, of {sizes[1]} it is "
        f"{losses[1]:.4f}. A result that depends on its neighbours is not one of the image."
    )
    return verdict(difference <= SLACK * abs(probe.gain) + 1e-3, difference, explanation)


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
    return verdict(max(differences) <= 1e-5, max(differences), explanation)


def unit_length(probe):
    clean = probe.encoded.clean
    norms = np.linalg.norm(np.concatenate([clean.images, clean.texts]), axis=1)
    furthest = float(np.abs(norms - 1.0).max())
    explanation = (
        f"The length of an embedding differs from 1 by at most {furthest:.2e}. Any other length "
        "is a second temperature, which can cancel the first."
    )
    return verdict(furthest <= 1e-3, furthest, explanation)


def zero_gradients(probe):
    share = probe.white_box["full"].stalled_share
    explanation = (
        f"{100 * share:.1f} % of the gradients are zero or not finite. Such an image is not "
        "attacked at all: look for a quantisation or a saturated loss."
    )
    return verdict(share <= 0.05, share, explanation)


def _difference(encode):
    first, second = (ops.convert_to_numpy(encode()) for _ in range(2))
    return float(np.abs(first - second).max())
