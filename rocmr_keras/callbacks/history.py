import keras

from rocmr_keras.files import replacing


def write_history(path, rows):
    """Writes what `keras.callbacks.CSVLogger` has written, again and in one go.

    A run that was killed between the state and the row of an epoch has lost the row; a
    `Checkpoint` has it in its state.

    Args:
        path: String or path of the CSV file, which is replaced.
        rows: List of dicts from `"epoch"` and names of figures to numbers,
            `Checkpoint.history`. With an empty one no file is written.

    Example:

    ```python
    epoch = checkpoint.restore(trainer, batches)
    write_history("runs/a/history.csv", checkpoint.history)
    logger = keras.callbacks.CSVLogger("runs/a/history.csv", append=epoch > 0)
    ```
    """
    if not rows:
        return
    with replacing(path) as temporary:
        logger = keras.callbacks.CSVLogger(str(temporary))
        logger.on_train_begin()
        for row in rows:
            logs = {name: value for name, value in row.items() if name != "epoch"}
            logger.on_epoch_end(row["epoch"], logs)
        logger.on_train_end()
