r"""Embeds images or captions with a trained model, for searching.

    rocmr-keras embed --model=runs/rocmr/model.keras --images=photos --output=photos.gallery \
        --query="a red apple"

embeds all images in a folder and below, writes a gallery (`rocmr_keras.gallery.Gallery.load`
reads it, and `vectors.npy` in it is for anything else), and prints what the query finds.
`--items=test` embeds a split of the data that the data flags name, `--modality=texts` its
captions. A run that was killed goes on where it was. `--format=parquet` writes one table.

`--ray_workers=4` embeds in as many processes, which Ray starts and, if one dies, starts again; with
`--ray_address=auto`, run on a machine of a Ray cluster, they are anywhere in it. Needs the extra
`ray`, and images that lie under the same path on all machines. The gallery is the same. Clusters
that ask for a token, as from Ray 2.60 on, are reached with Ray's RAY_AUTH_MODE=token.
"""

import common_flags
import run_report
from absl import app
from absl import flags
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_string("model", None, "Model file (`.keras`).", required=True)
flags.DEFINE_string("output", "runs/gallery", "Where the gallery goes; must be new.")
flags.DEFINE_enum(
    "items",
    "folder",
    ["folder", "test", "validation", "train"],
    "All images in --images, or a split of the data.",
)
flags.DEFINE_enum("modality", "images", ["images", "texts"], "What of a split is embedded.")
flags.DEFINE_enum("format", "npy", ["npy", "parquet"], "A folder of arrays, or one table.")
flags.DEFINE_integer("batch_size", 64, "Items embedded at a time.")
flags.DEFINE_float("max_bad_fraction", 0.01, "Share of the images that may be unreadable.")
flags.DEFINE_integer("ray_workers", 0, "Processes that embed, by Ray; 0: this one.")
flags.DEFINE_string("ray_address", None, "Of a Ray cluster; by default one is started here.")
flags.DEFINE_float("ray_gpus", 0, "GPUs of each of these processes.")
flags.DEFINE_string("query", None, "Text that is searched for at once.")
flags.DEFINE_integer("k", 5, "How many items are printed for the query.")


def choose_items():
    """Returns what is embedded: a folder, or a split."""
    if FLAGS.items != "folder":
        return common_flags.choose_split(common_flags.load_data(), FLAGS.items)
    if not FLAGS.images or FLAGS.modality == "texts":
        raise app.UsageError("--items=folder needs --images, a folder; captions are of a split.")
    return FLAGS.images


def choose_workers():
    """Returns who embeds, `None` for this process."""
    if not FLAGS.ray_workers:
        return None
    gpus = FLAGS.ray_gpus
    return rk.gallery.RayWorkers(FLAGS.ray_workers, FLAGS.ray_address, num_gpus=gpus)


def main(_):
    common_flags.adopt_data_flags(FLAGS.model)
    items, workers = choose_items(), choose_workers()
    model = run_report.load_model(FLAGS.model)
    gallery = rk.gallery.build_gallery(
        model,
        items,
        FLAGS.modality,
        FLAGS.batch_size,
        chunk_folder=f"{FLAGS.output}.chunks",
        max_bad_fraction=FLAGS.max_bad_fraction,
        workers=workers,
    )
    gallery.export_vectors(FLAGS.output, FLAGS.format)
    print(f"{FLAGS.output}: {len(gallery)} items, vectors of {gallery.vectors.shape[1]}.")
    if FLAGS.query is not None:
        queries = keras.ops.convert_to_numpy(model.encode_texts([FLAGS.query]))
        hits = gallery.search(queries, FLAGS.k)
        for name, score in zip(hits["names"][0], hits["scores"][0]):
            print(f"{score:7.3f}  {name}")


if __name__ == "__main__":
    app.run(main)
