from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.masking_audit import budget_checks
from rocmr_keras.evaluation.masking_audit import invariance_checks
from rocmr_keras.evaluation.masking_audit import rival_checks
from rocmr_keras.evaluation.masking_audit.audit_budget import AuditBudget
from rocmr_keras.evaluation.masking_audit.judgement import conclude
from rocmr_keras.evaluation.masking_audit.probe import Probe
from rocmr_keras.evaluation.masking_audit.token_search import token_search

CHECKS = {
    "deterministic": invariance_checks.deterministic,
    "unit_length": invariance_checks.unit_length,
    "zero_gradients": invariance_checks.zero_gradients,
    "more_steps": budget_checks.more_steps,
    "more_restarts": budget_checks.more_restarts,
    "larger_epsilon": budget_checks.larger_epsilon,
    "huge_epsilon": budget_checks.huge_epsilon,
    "beats_noise": rival_checks.beats_noise,
    "beats_gradient_free": rival_checks.beats_gradient_free,
    "beats_transfer": rival_checks.beats_transfer,
    "temperature": invariance_checks.temperature,
    "batch_size": invariance_checks.batch_size,
    "token_search": token_search,
}


def audit(model, split, epsilon, source=None, checks=None, batch_size=64, verbose=1, **budget):
    """Checks a model for gradient masking, which only looks like robustness.

    If a model masks its gradients, results contradict each other: a larger budget does less
    harm, or an attack without gradients does more. The attacks are PGD in the maximum norm on
    image queries, under the protocol `"query"`, and one token substitution on up to a hundred
    texts. There are three verdicts:

    - `"masked"`: at least one check failed. What attacks by gradient leave is too much.
    - `"caution"`: no check failed, but something weakens some attacks, or is not decided by so
      few queries. The reason says which figures to read instead: a temperature that weakens PGD
      on `"contrastive"` does not touch AutoAttack, which climbs the margin too.
    - `"sound"`: no check found anything. That proves nothing; the contrary would.

    Comparisons that can convict a model are made on the margin, which no temperature changes,
    and where a difference is less than 1 % probable by chance.

    Args:
        model: A `DualEncoder` with a preprocessor, or an `Adapter`.
        split: A `rocmr_keras.data.Split`; a hundred images are enough (`split.subset(100)`),
            and fewer than seven convict nobody by comparison.
        epsilon: Float in (0, 1], the budget, as in `PGD`.
        source: Another model of the same image size, for the check `beats_transfer`, which
            is left out without it. Defaults to `None`.
        checks: List of names of checks to run, see `CHECKS`; all by default.
            Defaults to `None`.
        batch_size: Integer. Defaults to `64`.
        verbose: `1` to print each verdict as it comes, `0` for silence. Defaults to `1`.
        **budget: The rest of the budget: `objective`, name or callable, the one that was used
            in `evaluate`, by default `"contrastive"`; `num_steps`, integer, gradient steps, by
            default `20`; `num_queries`, integer, steps of the gradient-free attack, by
            default `200`; `seed`, integer, by default `0`.

    Returns:
        Dict of plain values: `verdict`, as above; `reason`, a string, what decided it;
        `checks`, from a name to a dict with `verdict` (`"pass"`, `"caution"` or `"fail"`),
        `figure`, a float, and `explanation`; and `budget`.

    Raises:
        ValueError: If the budget is not in (0, 1], or a check is unknown.

    Example:

    ```python
    report = audit(model, dataset["test"].subset(100), epsilon=8 / 255)
    print(format_audit(report))
    ```

    Reference:
        - [Athalye et al., 2018](https://arxiv.org/abs/1802.00420), obfuscated gradients
        - [Carlini et al., 2019](https://arxiv.org/abs/1902.06705), what an evaluation must show
        - [Pintor et al., 2022](https://arxiv.org/abs/2106.09947), attacks that fail by themselves
        - [Croce et al., 2022](https://arxiv.org/abs/2202.13711), defences that draw or adapt
    """
    names = list(CHECKS) if checks is None else list(checks)
    _check_names(names)
    budget = AuditBudget(epsilon, **budget)
    encoded = EncodedSplit(model, split, batch_size=batch_size, verbose=0)
    probe = Probe(encoded, budget, source)
    results = {}
    for name in names:
        # `None` from a check that needs a source model, where there is none.
        result = CHECKS[name](probe)
        if result is None:
            continue
        results[name] = result
        if verbose:
            print(_line(name, result))
    return {**conclude(results), "checks": results, "budget": budget.describe()}


def format_audit(report):
    """Formats an audit as text, a line for each check, and the verdict with its reason.

    Args:
        report: Dict, as `audit` returns it.

    Returns:
        String of several lines.
    """
    lines = [_line(name, result) for name, result in report["checks"].items()]
    return "\n".join([*lines, f"{report['verdict']}: {report['reason']}"])


def _line(name, result):
    return f"{result['verdict']:<7}  {name:<20}{result['figure']:>10.4f}  {result['explanation']}"


def _check_names(names):
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise ValueError(
            f"`checks` must be among {list(CHECKS)}. Received: checks={names}. Leave out {unknown}."
        )
