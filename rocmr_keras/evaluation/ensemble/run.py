from rocmr_keras.attacks import fillers_for
from rocmr_keras.evaluation.arguments import check_split
from rocmr_keras.evaluation.arguments import evaluated_model
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.ensemble.ensemble import Ensemble
from rocmr_keras.evaluation.ensemble.stages import auto_attack_budget
from rocmr_keras.evaluation.ensemble.stages import joint_budget
from rocmr_keras.evaluation.ensemble.stages import joint_stages
from rocmr_keras.evaluation.ensemble.stages import query_stages
from rocmr_keras.evaluation.ensemble.text_part import text_part
from rocmr_keras.metrics.directions import CROSS_MODAL
from rocmr_keras.metrics.summary import damage
from rocmr_keras.metrics.summary import summary


def auto_attack(
    model,
    split,
    epsilon=None,
    num_substitutions=None,
    version="standard",
    batch_size=64,
    verbose=1,
    return_ranks=False,
    **options,
):
    """AutoAttack for retrieval: an ensemble of strong attacks, the worst result per query.

    Only the budget is to be chosen. Every query is attacked until it is not among the first ten,
    or nothing is left to try; it counts as right at `k` only if it is so under all attacks, for
    each `k` of 1, 5 and 10.

    - Image queries: `APGD` on `contrastive`; on `MarginsInTurn`, the margins at 1, 5 and 10,
      each as soon as the one before is lost; the same from 5 on, on queries that lost
      rank 1 and are still right at 5, and from 10 on; on `TargetedMargin`, the three nearest
      wrong items one by one, on queries that are still first; and `Square`, which needs no
      gradient, on these margins.
    - Text queries: `TokenSubstitution` of whole words (`WholeWords`) on the same objectives;
      then `HumanEdits`, edits that people make, which insert fillers and the words that the
      split's captions repeat, and `CharacterEdits`, on these margins. All of it can be typed.
      Free tokens, a stronger threat of which much cannot, are another `text`.
    - With both budgets both sides are attacked too, texts by the search: first all captions, then
      all images against them, and finally each image together with its captions, by
      `Alternating` on the same margins, on those groups in which a query is still among the
      first ten. A query counts by the worst of all states of its group that this search
      has compared.

    Args:
        model: A `DualEncoder` with a preprocessor, or an `Adapter`.
        split: A `rocmr_keras.data.Split`.
        epsilon: Float, the budget on images in units of [0, 1], or `None` to leave them
            alone. Defaults to `None`.
        num_substitutions: Integer, the budget on texts, so many words (or tokens), edits or
            characters, or `None` to leave them alone. Defaults to `None`.
        version: `"standard"`, or `"fast"`: fewer steps, no targets and no `Square`, for a look
            during development, not for publication. Defaults to `"standard"`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` for progress bars, `0` for none. Defaults to `1`.
        return_ranks: Boolean, whether to return the rank of every query too, and the stage that
            did the worst to it. Defaults to `False`.
        **options: `norm`, `"linf"` (the default) or `"l2"`, of the budget on images; `Square`
            runs within the first only; `seed`, integer, of all attacks, by default `0`;
            `text`, what is done to captions, names among `"words"`, `"tokens"` (free ones),
            `"edits"` and `"characters"`, by default all but `"tokens"`. Where the model's
            preprocessor has no `whole_word_mask`, or cannot read strings, the default is
            tokens for words, or no strings; the budget in the report says what was done;
            `ground_truth`, as for `evaluate`: a query with an empty list is left alone.

    Returns:
        A report like that of `evaluate`, whose attacks are `"auto query"` and, with both
        budgets, `"auto both"`. Their `stages` say of each attack the ranks `k` whose
        margins it climbed (`None` for other objectives), how many `queries` it met, how
        many of them it put out of the first ten (`broken`), and how many queries `lost`
        each of the ranks to it, a dict. Their `seconds` are what each attack took, by name:
        `wall` and, of this process, `cpu`. Their `worst` lists, by direction, the queries that
        were right when clean and fell the furthest, at most ten: `query`, its position,
        `rank`, and `stage`, the attack that did it, see `auto_attack_failures`. With
        `return_ranks`, a tuple of this and a dict: from `"clean"` and the name of each
        attack to a dict from a direction to a `Ranking`; that of an attack has `stages`
        too, an array with the name of the stage that did the worst to each query,
        empty where none did any harm.

    Raises:
        ValueError: If there is no budget, the version is unknown, or a `text` is unknown or
            more than the model's preprocessor can do.

    Example:

    ```python
    report = auto_attack(model, dataset["test"], epsilon=8 / 255, num_substitutions=1)
    print(format_report(report))
    ```

    Reference:
        - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690), AutoAttack
    """
    model = evaluated_model(model)
    check_split(split, batch_size)
    ground_truth = options.pop("ground_truth", None)
    budget = _budget(model, split, epsilon, num_substitutions, version, options)
    encoded = EncodedSplit(model, split, ground_truth, batch_size=batch_size, verbose=verbose)
    ranks = {"clean": encoded.rank_clean(CROSS_MODAL)}
    report = {
        **encoded.describe(),
        "clean": summary(ranks["clean"]),
        "attacks": {},
    }
    protocols = {"query": (budget, query_stages), "both": (joint_budget(budget), joint_stages)}
    for protocol, (budget, make_stages) in protocols.items():
        stages = make_stages(budget)
        if stages:
            ensemble = Ensemble(encoded, ranks["clean"], protocol)
            ensemble.run(stages)
            ranks[f"auto {protocol}"] = ensemble.worst
            report["attacks"][f"auto {protocol}"] = {
                "budget": {"protocol": protocol, **budget},
                **summary(ensemble.worst),
                **damage(ranks["clean"], ensemble.worst),
                "stages": ensemble.counts,
                "seconds": ensemble.seconds,
                "worst": ensemble.furthest(),
            }
    return (report, ranks) if return_ranks else report


def _budget(model, split, epsilon, num_substitutions, version, options):
    """Completes the budget by what model and captions allow."""
    if num_substitutions is not None:
        text = text_part(model, options.get("text"))
        options = {**options, "text": text, "fillers": fillers_for(split.captions)}
    return auto_attack_budget(epsilon, num_substitutions, version=version, **options)
