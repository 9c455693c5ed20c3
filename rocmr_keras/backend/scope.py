import contextlib

import keras


@contextlib.contextmanager
def discard_updates():
    """Runs a block whose writes to Keras variables are thrown away.

    Reads see the values of the surrounding scope, if there is one. An attacked
    forward pass runs in here, so that `BatchNormalization` statistics, seeds and
    `add_loss` calls of a tower are the same after an attack as before it, whatever
    the tower does inside.

    Example:

    ```python
    with discard_updates():
        embeddings = model.encode_images(images)
    ```
    """
    with keras.StatelessScope(initialize_variables=False) as scope:
        # A scope starts empty: without these values, reads inside of a JAX step would find
        # the ones from before the step.
        if scope.original_scope is not None:
            scope.state_mapping.update(scope.original_scope.state_mapping)
        yield
