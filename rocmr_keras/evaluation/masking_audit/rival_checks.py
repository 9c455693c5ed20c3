"""Checks that the white-box attacks are at least as strong as attacks that know less."""

from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import Square
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import encode_inputs
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.evaluation.masking_audit.judgement import beats


def beats_noise(probe):
    found = probe.attack(RandomNoise(1.0, seed=probe.budget.seed))[0]
    return beats(probe, found.margins, "Random noise")


def beats_gradient_free(probe):
    budget = probe.budget
    attack = Square(1.0, num_steps=budget.num_queries, seed=budget.seed)
    found = probe.attack(attack, objective="margin")[0]
    return beats(probe, found.margins, f"Random search with {budget.num_queries} queries")


def beats_transfer(probe):
    """`None` without a source."""
    if probe.source is None:
        return None
    encoded = probe.encoded
    size = encoded.batch_size
    source = EncodedSplit(probe.source, encoded.split, batch_size=size, verbose=0)
    attack = probe.pgd()
    # Nobody scales its epsilon of 1 here, as `probe.attack` does.
    attack = type(attack).from_config({**attack.get_config(), "epsilon": probe.budget.epsilon})
    found = encode_attacked(source, "images", attack, probe.budget.objective)
    inputs = {"images": found["adversarial_images"]}
    embeddings = encode_inputs(encoded.model, "images", inputs, size)
    margins = probe.losses(embeddings, "margin")
    return beats(probe, margins, "What was found on the source model")
