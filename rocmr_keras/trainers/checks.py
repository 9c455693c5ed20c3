"""What `RoCMR` refuses: attacks, references and batches that do not fit its terms."""

from rocmr_keras.attacks import Attack
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.trainers.fit_checks import check_keys


def check_attacks(terms, attacks):
    """Refuses attacks that are missing or do not fit their side.

    Args:
        terms: A `Terms`.
        attacks: Dict of an attack or `None` for `"images"` and `"texts"`.

    Raises:
        ValueError: If one does not fit.
    """
    for side, attack in attacks.items():
        name = f"{side[:-1]}_attack"
        if attack is not None:
            check_attack(name, attack, side, (Attack,))
        elif terms.attacks(side):
            raise ValueError(
                f"The terms train on adversarial {side} and need `{name}`. "
                f"Received: {name}=None, terms={terms.get_config()}. "
                "Pass an attack, or choose terms that do without."
            )


def check_random_start(attack):
    """Refuses an attack on a distance that is zero, like its gradient, where it starts."""
    if not getattr(attack, "random_start", True):
        raise ValueError(
            "An attack on the distance to the reference must start at random: the "
            f"gradient is zero at the clean input. Received: {type(attack).__name__} with "
            "random_start=False. Set random_start=True."
        )


def check_reference(reference, model):
    """Refuses a reference that would move along with the model."""
    moving = {id(weight) for weight in model.trainable_weights}
    if any(id(weight) in moving for weight in reference.weights):
        raise ValueError(
            "`reference` must share no trained weight with `model`. Received: "
            f"reference={reference}. Pass another model, or None for a copy."
        )


def check_frozen(terms, model):
    """Refuses weights that no term trains: weight decay would move them on some backends.

    Args:
        terms: A `Terms`.
        model: A `DualEncoder`.

    Raises:
        ValueError: If only distances to the reference are trained, and something besides
            the towers that they measure is trainable.
    """
    if terms.retrieves():
        return
    trained = set()
    for side in ("images", "texts"):
        for part in (f"{side[:-1]}_encoder", f"{side[:-1]}_projection"):
            layer = getattr(model, part, None)
            if terms.refers(side) and layer is not None:
                trained |= {id(weight) for weight in layer.trainable_weights}
    idle = [weight.path for weight in model.trainable_weights if id(weight) not in trained]
    if idle:
        others = ["images"] * (not terms.refers("images")) + ["texts"] * (not terms.refers("texts"))
        frozen = [*(f'{name}="all"' for name in others), "similarity=True"]
        raise ValueError(
            "Weights that the terms do not train must be frozen. Received: trainable "
            f"{', '.join(idle[:3])} ({len(idle)} in all), terms={terms.get_config()}. "
            f"Call model.freeze({', '.join(frozen)})."
        )


def check_chunk_size(chunk_size):
    """Refuses a number of rows that is none."""
    is_count = isinstance(chunk_size, int) and not isinstance(chunk_size, bool) and chunk_size > 0
    if chunk_size is not None and not is_count:
        raise ValueError(
            "`chunk_size` must be a positive integer or None. Received: "
            f"chunk_size={chunk_size!r}. Pass the number of pairs that memory holds, e.g. 64."
        )


def check_batch(data, batch, others):
    """Refuses data that is not one dict, or lacks what a batch must hold."""
    if not isinstance(batch, dict) or any(other is not None for other in others):
        parts = data if isinstance(data, tuple) else (data,)
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise ValueError(
            "RoCMR takes batches that are one dict, without targets or sample "
            f"weights: the pairs are the supervision. Received: ({kinds}). "
            "Call `fit(dataset_of_dicts)` or `fit(dict_of_arrays)`."
        )
    check_keys(batch)
