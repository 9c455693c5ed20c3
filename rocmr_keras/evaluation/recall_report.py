from rocmr_keras.evaluation.arguments import check_named_attacks
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.threat import Threat
from rocmr_keras.metrics.summary import damage
from rocmr_keras.metrics.summary import summary


def evaluate(
    model,
    split,
    attacks=None,
    batch_size=64,
    verbose=1,
    ground_truth=None,
    intra_modal=False,
    return_ranks=False,
):
    """Measures recall in both directions, clean and under each attack.

    Args:
        model: A `DualEncoder` with a preprocessor, an `Adapter`, or the trainer around one.
        split: A `rocmr_keras.data.Split`, all of which is query and gallery. Its
            `merge_duplicates` makes equal captions right for each other's images.
        attacks: Dict from a name to a `Threat`, or to a bare attack, which means a
            `Threat` of that attack under the protocol `"query"`. Defaults to `None`.
        batch_size: Integer, queries attacked at once; figures do not depend on it but for
            random starts. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.
        ground_truth: Dict from a direction to a list of integer arrays, the positions of the
            right items of each query, for data in which equal ids miss some, see
            `eccv_caption_ground_truth`. A query with an empty list is not counted.
            Defaults to `None`: equal ids.
        intra_modal: Boolean, whether to add the directions `image_to_image` and
            `text_to_text`, between items of equal id, each query itself excluded; only
            queries that have a match count. Defaults to `False`.
        return_ranks: Boolean, whether to return the rank of every query too, for
            `worst_case`. Defaults to `False`.

    Returns:
        Dict with `counts`, `duplicate_captions`, `clean` and `attacks`. `duplicate_captions` has
        `count`, how many captions stand under several ids, and `ceiling`, the recall@1 that
        this leaves by direction, see `rocmr_keras.metrics.duplicate_captions`. `clean` has, by
        direction (`image_to_text`, `text_to_image`), `recall_at_1/5/10` (fractions), median and
        mean rank, `map_at_r`, and `mean_recall` over the six cross-modal recalls. Each
        entry of `attacks` has the same for the directions that the protocol covers, the
        `budget`, `recall_drop` (clean minus adversarial recall@1), `attack_success_rate`
        (share of the queries right at rank 1 when clean that are wrong under attack;
        `None` where none was right) and `stalled_share`; of an attack on strings under
        the protocol `"query"` also `text_changes`, how many characters and words differ.
        With `return_ranks`, a tuple of this and a dict: from `"clean"` and each attack's
        name to a dict from a direction to a `Ranking`.

    Raises:
        ValueError: If an embedding is not finite, an attack cannot be used, an attack is
            called `"clean"`, or the ground truth does not fit the split.

    Example:

    ```python
    report = evaluate(model, dataset["test"], {"pgd": PGD(8 / 255, num_steps=20)})
    report["attacks"]["pgd"]["image_to_text"]["recall_at_1"]
    ```
    """
    check_named_attacks(attacks)
    threats = {name: as_threat(threat) for name, threat in (attacks or {}).items()}
    _check_names(threats)
    encoded = EncodedSplit(model, split, ground_truth, intra_modal, batch_size, verbose)
    ranks = {"clean": encoded.rank_clean(encoded.directions)}
    report = {
        **encoded.describe(),
        "clean": summary(ranks["clean"]),
        "attacks": {},
    }
    for name, threat in threats.items():
        if verbose:
            print(f"{name}:")
        result = threat.protocol.run(encoded, threat)
        ranks[name] = result.rankings
        report["attacks"][name] = {
            "budget": threat.describe(),
            **summary(result.rankings),
            **damage(ranks["clean"], result.rankings),
            "stalled_share": result.stalled,
            **result.figures,
        }
    return (report, ranks) if return_ranks else report


def as_threat(threat):
    """Returns a bare attack as a `Threat` under the protocol `"query"`."""
    if isinstance(threat, Threat):
        return threat
    # What is no attack at all is refused by `Threat`, with a message.
    is_of_texts = getattr(threat, "side", None) == "texts"
    return Threat(**{"text_attack" if is_of_texts else "image_attack": threat})


def _check_names(threats):
    if "clean" in threats:
        raise ValueError(
            "The name 'clean' is that of the figures without an attack. Received: "
            "attacks={'clean': ...}. Choose another name."
        )
