"""The threats that a report was made with, to run them again."""

from rocmr_keras.evaluation.ensemble.stages import query_stages
from rocmr_keras.evaluation.recall_report import as_threat


def threats_of(run, threat=None):
    """Returns the threats by name of stage that were run under the protocol `"query"`.

    Args:
        run: Dict, an entry of a report's `attacks`.
        threat: The `Threat` or attack that it is the result of, where it was no AutoAttack, or
            `None` if it is not at hand. Defaults to `None`.

    Returns:
        Dict from the name of a stage to a `Threat`; without stages the name is empty. Empty under
        another protocol.
    """
    if run["budget"]["protocol"] != "query":
        return {}
    if "stages" in run:
        return {stage.name: stage.threat for stage in query_stages(run["budget"])}
    return {} if threat is None else {"": as_threat(threat)}
