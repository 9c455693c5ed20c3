import numpy as np

from rocmr_keras.attacks import ImageAttack
from rocmr_keras.attacks import TokenAttack
from rocmr_keras.attacks.checks import check_attack
from rocmr_keras.attacks.joint import JointAttack
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import encode_inputs
from rocmr_keras.evaluation.encoding.groups import encode_joint
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.directions import across
from rocmr_keras.metrics.ranks import recall_at_k


def transfer_matrix(models, split, attack, objective="contrastive", k=1, batch_size=64, verbose=1):
    """Attacks each model and measures the recall of every model on what was found.

    The diagonal is the white-box attack. A single attack changes the queries; a joint one
    changes images and captions, and queries and gallery are both what it made of them. A model
    that loses more recall to examples made on another model than to its own masks its gradients.

    Args:
        models: Dict from a name to a `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`.
        attack: An `ImageAttack`, a `TokenAttack` or a `rocmr_keras.attacks.joint.JointAttack`.
            Images must have one size for all models; token ids go to another vocabulary by
            way of the string.
        objective: String or callable; a joint attack has its own. Defaults to `"contrastive"`.
        k: Integer, the recall is among the first `k`. Defaults to `1`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Returns:
        Dict with `names`, a list; `recall`, float array `(models, models)`, rows the model
        that was attacked, columns the one that answers; `clean_recall`, float array
        `(models,)`, both the mean over the two directions of a joint attack; and
        `directions`, from each direction to a dict of the same two as lists, `recall_drop`,
        clean minus adversarial recall, which Co-Attack reports, and `attack_success_rate`, the
        share of the queries right at `k` when clean that are wrong under attack, which SGA
        reports, `None` where none was right.

    Raises:
        ValueError: If there is no model, the attack perturbs something that no other model
            understands, or the models take images of different sizes.

    Reference:
        - [Zhang et al., 2022](https://arxiv.org/abs/2206.09391), Co-Attack
        - [Lu et al., 2023](https://arxiv.org/abs/2307.14061), SGA

    Example:

    ```python
    matrix = transfer_matrix({"standard": first, "rocmr": second}, split, PGD(4 / 255))
    pictures.transfer_heat_map("transfer.png", matrix)
    ```
    """
    _check(models, attack)
    settings = {"batch_size": batch_size, "verbose": verbose}
    # Once for each model, not for each pair of models.
    encoded = [EncodedSplit(model, split, **settings) for model in models.values()]
    is_joint = isinstance(attack, JointAttack)
    names = CROSS_MODAL if is_joint else (across(attack.side),)
    ranks = []
    for source in encoded:
        if is_joint:
            found = encode_joint(source, attack)
        else:
            found = encode_attacked(source, attack.side, attack, objective)
        ranks.append([_ranks(found, source, target, names) for target in encoded])
    clean = [_only_ranks(target.rank_clean(names)) for target in encoded]
    return _figures(list(models), clean, ranks, names, k)


def _ranks(found, source, target, names):
    """Returns the ranks of the target, by direction, on what was found on the source."""
    embeddings = {
        modality: encode_inputs(target.model, modality, inputs, target.batch_size)
        for modality, inputs in _translate(found, source, target.model).items()
    }
    if len(embeddings) == 2:
        return _only_ranks(target.rank_both(embeddings["images"], embeddings["texts"]))
    (queries,) = embeddings.values()
    return _only_ranks({names[0]: target.rank(names[0], queries=queries)})


def _only_ranks(rankings):
    return {name: ranking.ranks for name, ranking in rankings.items()}


def _figures(models, clean, ranks, names, k):
    directions = {
        name: _direction([run[name] for run in clean], [[r[name] for r in row] for row in ranks], k)
        for name in names
    }
    means = {
        key: np.mean([figures[key] for figures in directions.values()], axis=0)
        for key in ("recall", "clean_recall")
    }
    return {"names": models, **means, "directions": directions}


def _direction(clean, ranks, k):
    recall = [[recall_at_k(each, k) for each in row] for row in ranks]
    before = [recall_at_k(each, k) for each in clean]
    return {
        "recall": recall,
        "clean_recall": before,
        "recall_drop": [[was - now for was, now in zip(before, row)] for row in recall],
        "attack_success_rate": [
            [_success(was, now, k) for was, now in zip(clean, row)] for row in ranks
        ],
    }


def _success(clean, attacked, k):
    right = clean <= k
    return float((attacked[right] > k).mean()) if right.any() else None


def _translate(found, source, target):
    """The inputs of the target by modality: images as they are, tokens in its own vocabulary."""
    inputs = {}
    if "adversarial_images" in found:
        inputs["images"] = {"images": found["adversarial_images"]}
    if "adversarial_token_ids" in found:
        inputs["texts"] = _tokens(found["adversarial_token_ids"], source, target)
    return inputs


def _tokens(token_ids, source, target):
    preprocessor = source.model.preprocessor
    if preprocessor.vocabulary != target.preprocessor.vocabulary:
        return dict(target.preprocessor.tokenize(preprocessor.detokenize(token_ids)))
    # A substitution changes no length.
    padding_mask = preprocessor.tokenize(source.split.captions)["padding_mask"]
    return {"token_ids": token_ids, "padding_mask": padding_mask}


def _check(models, attack):
    if not models:
        raise ValueError(
            "`models` must be a dict from a name to a model. Received: no model. "
            "Pass at least two, to see what transfers."
        )
    is_joint, side = isinstance(attack, JointAttack), getattr(attack, "side", None)
    if not is_joint:
        # No other model could read embeddings, and what was edited has another length.
        kind = TokenAttack if side == "texts" else ImageAttack
        check_attack("attack", attack, kind.side, (kind,))
    sizes = {tuple(model.preprocessor.image_size) for model in models.values()}
    if (is_joint or side == "images") and len(sizes) > 1:
        raise ValueError(
            "Images pass from model to model only in one size. Received: models of "
            f"{sorted(sizes)}. Compare models of one size."
        )
