from keras import ops


def mark_finite(logs, weights):
    """Shows a loss of NaN where a step left a weight that is not finite.

    A gradient may overflow where the loss does not. One sum of each weight tells, which costs
    next to nothing beside a step: whatever is not finite makes the sum so.

    Args:
        logs: Dict of scalar tensors that a training step returns.
        weights: List of tensors, those that were trained, after the step.

    Returns:
        Tuple of the logs, with another `loss`, and a boolean tensor, whether the loss and all
        weights are finite.
    """
    total = sum(ops.sum(ops.cast(weight, "float32")) for weight in weights)
    loss = ops.where(ops.isfinite(total), logs.get("loss", 0.0), float("nan"))
    return ({**logs, "loss": loss} if "loss" in logs else logs), ops.isfinite(loss)


def changing_variables(model):
    """Returns what a training step may change, each variable once: a list of Keras variables."""
    parts = model.variables, model.optimizer.variables, model.metrics_variables
    return list({id(each): each for part in parts for each in part}.values())
