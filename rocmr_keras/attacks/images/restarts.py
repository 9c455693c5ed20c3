from rocmr_keras.attacks.attack import keep_better


def best_of_restarts(num_restarts, run):
    """Runs an attack several times and keeps the best result of each example.

    Args:
        num_restarts: Integer, at least 1.
        run: Callable without arguments that returns inputs and their losses
            `(batch,)`. The losses may be `None` where there is one run only.

    Returns:
        Float tensor, the inputs of the highest loss.
    """
    best, best_losses = run()
    for _ in range(num_restarts - 1):
        best, best_losses = keep_better(best, best_losses, *run())
    return best
