import numpy as np

from rocmr_keras.attacks import ImageAttack
from rocmr_keras.attacks import TokenAttack
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import encode_inputs
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.metrics.directions import across
from rocmr_keras.metrics.ranks import recall_at_k


def transfer_matrix(models, split, attack, objective="contrastive", k=1, batch_size=64, verbose=1):
    """Attacks queries on each model and measures the recall of every model on them.

    The diagonal is the white-box attack. A model that loses more recall to examples made on
    another model than to its own masks its gradients.

    Args:
        models: Dict from a name to a `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        attack: An `ImageAttack` or a `TokenAttack`. Images must have one size for all
            models; token ids go to another vocabulary by way of the string.
        objective: String or callable. Defaults to `"contrastive"`.
        k: Integer, the recall is among the first `k`. Defaults to `1`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Returns:
        Dict with `names`, a list; `recall`, float array `(models, models)`, rows the model
        that was attacked, columns the one that answers; `clean_recall`, float array
        `(models,)`.

    Raises:
        ValueError: If there is no model, the attack perturbs something that no other model
            understands, or the models take images of different sizes.

    Example:

    ```python
    matrix = transfer_matrix({"standard": first, "rocmr": second}, split, PGD(4 / 255))
    pictures.transfer_matrix("transfer.png", matrix)
    ```
    """
    _check(models, attack)
    modality = attack.side
    settings = {"batch_size": batch_size, "verbose": verbose}
    # Once for each model, not for each pair of models.
    encoded = [EncodedSplit(model, split, **settings) for model in models.values()]
    direction = across(modality)
    recall = np.zeros((len(models), len(models)))
    for row, source in enumerate(encoded):
        found = encode_attacked(source, modality, attack, objective)
        for column, target in enumerate(encoded):
            inputs = _translate(found, split, source.model, target.model)
            queries = encode_inputs(target.model, modality, inputs, batch_size)
            ranking = target.rank(direction, queries=queries)
            recall[row, column] = recall_at_k(ranking.ranks, k)
    clean = [recall_at_k(target.rank(direction).ranks, k) for target in encoded]
    return {"names": list(models), "recall": recall, "clean_recall": np.array(clean)}


def _translate(found, split, source, target):
    """The inputs of the target: images as they are, tokens in its own vocabulary."""
    if "adversarial_images" in found:
        return {"images": found["adversarial_images"]}
    token_ids = found["adversarial_token_ids"]
    if source.preprocessor.vocabulary != target.preprocessor.vocabulary:
        return dict(target.preprocessor.tokenize(source.preprocessor.detokenize(token_ids)))
    # A substitution changes no length.
    padding_mask = source.preprocessor.tokenize(split.captions)["padding_mask"]
    return {"token_ids": token_ids, "padding_mask": padding_mask}


def _check(models, attack):
    if not models:
        raise ValueError(
            "`models` must be a dict from a name to a model. Received: no model. "
            "Pass at least two, to see what transfers."
        )
    # No other model could read embeddings, and what was edited has another length.
    kind = TokenAttack if getattr(attack, "side", None) == "texts" else ImageAttack
    check_attack("attack", attack, kind.side, (kind,))
    sizes = {tuple(model.preprocessor.image_size) for model in models.values()}
    if attack.side == "images" and len(sizes) > 1:
        raise ValueError(
            "Images pass from model to model only in one size. Received: models of "
            f"{sorted(sizes)}. Compare models of one size."
        )
