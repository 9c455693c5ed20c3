from rocmr_keras.evaluation.encode import Embeddings
from rocmr_keras.evaluation.encode import encode
from rocmr_keras.evaluation.encode import encode_attacked
from rocmr_keras.evaluation.ranks import cross_modal_ranks
from rocmr_keras.evaluation.ranks import query_ranks
from rocmr_keras.evaluation.ranks import summarize
from rocmr_keras.evaluation.threat import Threat


def evaluate(model, split, attacks=None, batch_size=64, verbose=1):
    """Measures recall in both directions, clean and under each attack.

    Args:
        model: A `DualEncoder` with a preprocessor.
        split: A `rocmr_keras.data.Split`, all of which is query and gallery.
        attacks: Dict from a name to a `Threat`, or to a bare attack, which means a
            `Threat` of that attack under the protocol `"query"`. Defaults to `None`.
        batch_size: Int, queries attacked at once; figures do not depend on it but for
            random starts. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.

    Returns:
        Dict with `counts`, `clean` and `attacks`. `clean` has, by direction
        (`image_to_text`, `text_to_image`), `recall_at_1/5/10` (fractions), median and
        mean rank, and `mean_recall` over the six recalls. Each entry of `attacks` has
        the same for the directions that the protocol covers, the `budget`,
        `recall_drop` (clean minus adversarial recall@1), `attack_success_rate` (share
        of the queries right at rank 1 when clean that are wrong under attack; `None`
        where none was right) and `stalled_share`.

    Raises:
        ValueError: If an embedding is not finite, or an attack cannot be used.

    Example:

    ```python
    report = evaluate(model, dataset["test"], {"pgd": PGD(8 / 255, num_steps=20)})
    report["attacks"]["pgd"]["image_to_text"]["recall_at_1"]
    ```
    """
    threats = {name: _as_threat(threat) for name, threat in (attacks or {}).items()}
    settings = {"batch_size": batch_size, "verbose": verbose}
    clean = encode(model, split, **settings)
    clean_ranks = _ranks(clean)
    report = {
        "counts": {"images": len(clean.images), "texts": len(clean.texts)},
        "clean": _summary(clean_ranks),
        "attacks": {},
    }
    for name, threat in threats.items():
        if verbose:
            print(f"{name}:")
        run = _RUNS[threat.protocol]
        ranks, stalled = run(model, split, threat, clean, settings)
        report["attacks"][name] = {
            "budget": threat.describe(),
            **_summary(ranks),
            "recall_drop": {
                key: _right(clean_ranks[key]) - _right(ranks[key]) for key in ranks
            },
            "attack_success_rate": {
                key: _success(clean_ranks[key], ranks[key]) for key in ranks
            },
            "stalled_share": stalled,
        }
    return report


def _query(model, split, threat, clean, settings):
    """Only the query is attacked: each attack serves the direction it queries."""
    ranks, stalled = {}, {}
    if threat.image_attack:
        found = _attack("images", model, split, threat, clean, settings)
        stalled["images"] = found["stalled_share"]
        ranks["image_to_text"] = query_ranks(
            found["embeddings"], clean.texts, clean.image_ids, clean.text_ids
        )
    if threat.text_attack:
        found = _attack("texts", model, split, threat, clean, settings)
        stalled["texts"] = found["stalled_share"]
        ranks["text_to_image"] = query_ranks(
            found["embeddings"], clean.images, clean.text_ids, clean.image_ids
        )
    return ranks, stalled


def _both(model, split, threat, clean, settings):
    """Texts against the clean images, then images against the attacked texts."""
    ids = {"image_ids": clean.image_ids, "text_ids": clean.text_ids}
    texts = _attack("texts", model, split, threat, clean, settings)
    attacked = Embeddings(clean.images, texts["embeddings"], **ids)
    images = _attack("images", model, split, threat, attacked, settings)
    ranks = cross_modal_ranks(images["embeddings"], texts["embeddings"], **ids)
    stalled = {"images": images["stalled_share"], "texts": texts["stalled_share"]}
    return ranks, stalled


_RUNS = {"query": _query, "both": _both}


def _attack(modality, model, split, threat, gallery, settings):
    attack = threat.image_attack if modality == "images" else threat.text_attack
    return encode_attacked(
        model, split, modality, attack, gallery, threat.objective, **settings
    )


def _as_threat(threat):
    if isinstance(threat, Threat):
        return threat
    side = "image_attack" if threat.modality == "images" else "text_attack"
    return Threat(**{side: threat})


def _ranks(embeddings):
    return cross_modal_ranks(
        embeddings.images,
        embeddings.texts,
        embeddings.image_ids,
        embeddings.text_ids,
    )


def _summary(ranks):
    """Returns the figures of each direction, and the mean of all their recalls."""
    directions = {name: summarize(direction) for name, direction in ranks.items()}
    recalls = [
        value
        for figures in directions.values()
        for name, value in figures.items()
        if name.startswith("recall")
    ]
    return {**directions, "mean_recall": sum(recalls) / len(recalls)}


def _right(ranks):
    return float((ranks == 1).mean())


def _success(clean, attacked):
    """Share of the queries right when clean that are wrong under attack."""
    right = clean == 1
    return float((attacked[right] > 1).mean()) if right.any() else None
