"""The white-box attack is at least as strong as those that know less."""

from rocmr_keras.attacks import RandomNoise
from rocmr_keras.attacks import Square
from rocmr_keras.evaluation.audit.probe import DIRECTION
from rocmr_keras.evaluation.audit.verdict import beats
from rocmr_keras.evaluation.encoding.queries import encode
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.evaluation.transfer import encode_batch


def beats_noise(probe):
    found = probe.attack(RandomNoise(1.0, seed=probe.seed))[0]
    return beats(probe, found.loss, "Random noise")


def beats_gradient_free(probe):
    found = probe.attack(Square(1.0, num_steps=probe.num_queries, seed=probe.seed))[0]
    return beats(probe, found.loss, f"Random search with {probe.num_queries} queries")


def beats_transfer(probe):
    """`None` without a source."""
    if probe.source is None:
        return None
    settings = {"batch_size": probe.bench.settings["batch_size"], "verbose": 0}
    clean = encode(probe.source, probe.split, **settings)
    attack = probe.pgd()
    attack = type(attack).from_config({**attack.get_config(), "epsilon": probe.epsilon})
    found = encode_attacked(
        probe.source,
        probe.split,
        "images",
        attack,
        clean.texts,
        probe.objective,
        relevance=probe.bench.relevance(DIRECTION),
        **settings,
    )
    batch = {"images": found["adversarial_images"]}
    embeddings = encode_batch(probe.model, "images", batch, settings["batch_size"])
    return beats(probe, probe.loss(embeddings), "What was found on the source model")
