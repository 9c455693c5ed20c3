from rocmr_keras.attacks import objectives


class AuditBudget:
    """How hard an audit attacks.

    Args:
        epsilon: Float in (0, 1], the budget in the maximum norm, as in `PGD`.
        objective: String or callable that is maximised. Defaults to `"contrastive"`.
        num_steps: Integer, gradient steps of the white-box attack. Defaults to `20`.
        num_queries: Integer, steps of the gradient-free attack. Defaults to `200`.
        seed: Integer, of all attacks. Defaults to `0`.

    Raises:
        ValueError: If `epsilon` is not in (0, 1].
    """

    def __init__(self, epsilon, objective="contrastive", num_steps=20, num_queries=200, seed=0):
        if not isinstance(epsilon, (int, float)) or not 0 < epsilon <= 1:
            raise ValueError(
                "`epsilon` must be in (0, 1], in units of images in [0, 1]. Received: "
                f"epsilon={epsilon!r}. Write e.g. 8 / 255."
            )
        self.epsilon = epsilon
        self.objective = objectives.get(objective)
        self.num_steps = num_steps
        self.num_queries = num_queries
        self.seed = seed
        # A report is JSON, and a function is not.
        self._objective_name = getattr(self.objective, "__name__", str(objective))

    def describe(self):
        """Returns the budget as plain values, for a report."""
        return {
            "epsilon": self.epsilon,
            "objective": self._objective_name,
            "num_steps": self.num_steps,
            "num_queries": self.num_queries,
            "seed": self.seed,
        }
