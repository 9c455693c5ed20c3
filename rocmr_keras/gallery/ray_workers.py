import pathlib
import pickle
import tempfile

import keras

from rocmr_keras.gallery.embedding import embed_batch
from rocmr_keras.gallery.encoding import Tower

# One actor does not wait for the next batch, and what is at work when it dies is little.
_MOST_BLOCKS = 4096


class RayWorkers:
    """Processes that embed for `build_gallery`, on this machine or on a Ray cluster.

    Each has the whole model and takes batch after batch from Ray Data. Ray starts a worker that
    died anew and gives its batch to it again; whatever it had finished is not asked for twice.
    Batches are those of one process, so the gallery is the same. Paths must mean the same
    files on all machines, which also need this package.

    Args:
        count: Integer, how many processes.
        address: String, of a cluster, such as `"auto"` on one of its machines or
            `"ray://head:10001"`. Defaults to `None`: a cluster of this machine alone, which
            ends with the gallery, unless `ray.init` was called before.
        num_cpus: Integer, cores of each. Defaults to `1`.
        num_gpus: Float, GPUs of each, such as `0.5`. Defaults to `0`.

    Raises:
        ValueError: If `count` is below 1.
        ImportError: If Ray is missing.

    Example:

    ```python
    workers = rocmr_keras.gallery.RayWorkers(16, address="auto", num_gpus=1)
    gallery = rocmr_keras.gallery.build_gallery(model, "photos", workers=workers)
    ```
    """

    def __init__(self, count, address=None, num_cpus=1, num_gpus=0):
        if count < 1:
            raise ValueError(
                f"`count` must be 1 or more. Received: count={count}. Each takes `num_cpus` cores."
            )
        self._ray = _import_ray()
        self.count = count
        self.address = address
        self.num_cpus = num_cpus
        self.num_gpus = num_gpus

    def embed(self, model, modality, batch_size, jobs):
        """Embeds batches, whichever comes first.

        Args:
            model: `DualEncoder` with a preprocessor, of classes that `rocmr_keras` and Keras have.
            modality: `"images"` or `"texts"`.
            batch_size: Integer, that of every batch but the last.
            jobs: List of tuples of a start, a list of items and a list of their names.

        Yields:
            Tuples of a start and what `embed_batch` makes of its items.

        Raises:
            ValueError: What `embed_batch` raises.
        """
        if not jobs:
            return
        is_ours = not self._ray.is_initialized()
        if is_ours:
            self._start()
        try:
            rows = [{"start": start, "job": pickle.dumps(rest)} for start, *rest in jobs]
            dataset = self._ray.data.from_items(
                rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)
            )
            found = dataset.map(
                _Embedder,
                fn_constructor_args=(_to_bytes(model), modality, batch_size),
                compute=self._ray.data.ActorPoolStrategy(size=min(self.count, len(rows))),
                **self._resources(),
            )
            for row in found.iter_rows():
                result = pickle.loads(row["found"])
                if isinstance(result, ValueError):
                    raise result
                yield row["start"], result
        finally:
            if is_ours:
                self._ray.shutdown()

    def _start(self):
        if self.address is None:
            cores = self.count * self.num_cpus
            self._ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
        else:
            self._ray.init(address=self.address, log_to_driver=False)

    def _resources(self):
        variables = {
            "KERAS_BACKEND": keras.config.backend(),
            # Else each would take all cores.
            "TF_NUM_INTRAOP_THREADS": str(self.num_cpus),
            "OMP_NUM_THREADS": str(self.num_cpus),
        }
        asked = {"num_cpus": self.num_cpus, "runtime_env": {"env_vars": variables}}
        return {**asked, "num_gpus": self.num_gpus} if self.num_gpus else asked


class _Embedder:
    """What runs in a worker: loads the model once, then embeds batches."""

    def __init__(self, content, modality, batch_size):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            path.write_bytes(content)
            self.tower = Tower(keras.saving.load_model(path, compile=False), modality)
        self.batch_size = batch_size

    def __call__(self, row):
        batch, names = pickle.loads(row["job"])
        try:
            found = embed_batch(self.tower, batch, names, self.batch_size)
        except ValueError as error:
            # As a result: Ray would take it for a failure and wrap it.
            found = ValueError(str(error))
        return {"start": row["start"], "found": pickle.dumps(found)}


def _to_bytes(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def _import_ray():
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            "`RayWorkers` needs Ray, which is not installed. Run "
            '`pip install "rocmr-keras[ray]"`, or leave `workers` out.'
        ) from error
    # Bars of its own, beside that of `build_gallery`.
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray
