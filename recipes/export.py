r"""Exports a trained model for serving: strings and image files in, search results out.

    python recipes/export.py --model=runs/rocmr/model.keras --output=serving

writes `serving/1` (the next time `serving/2`, which a running server changes over to), a
SavedModel that needs neither Keras nor this package, with the test images as its gallery: of
the data of the run, as `flags.txt` beside the model has them, or of what data flags name.
`--gallery=folder --images=photos` searches a folder of yours, `--gallery=none` only embeds.
`flags.txt` and `report.json` beside the model are carried into its `manifest.json`.
"""

import os

import common_flags
import numpy as np
import run_report
from absl import app
from absl import flags
from absl import logging
from libraries import keras
from libraries import rk

FLAGS = flags.FLAGS

common_flags.define_data_flags()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_string("model", None, "File of a model or trainer (`.keras`).", required=True)
flags.DEFINE_string("output", "serving", "Folder of the model; versions are numbered in it.")
flags.DEFINE_enum(
    "gallery",
    "test",
    ["test", "validation", "train", "folder", "none"],
    "What is searched: images of a split, all images in --images, or nothing.",
)
flags.DEFINE_enum("index", "exact", ["exact", "int8", "ivf"], "How it is searched.")
flags.DEFINE_integer("num_cells", None, "Cells of --index=ivf; by default as many as fit.")
flags.DEFINE_integer("num_probes", 16, "Cells that a query looks at, of --index=ivf.")
flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the stored weights.")
flags.DEFINE_bool("string_inputs", True, "Take texts as strings, with tensorflow-text's ops.")
flags.DEFINE_integer("batch_size", 64, "Images embedded at a time.")
flags.DEFINE_list("formats", [], "Also the image tower alone: onnx, litert, openvino.")


def build_gallery(model):
    """Returns a gallery and embeddings of captions to measure its index with, or `None`s."""
    if FLAGS.gallery == "none":
        return None, None
    options = {"batch_size": FLAGS.batch_size}
    options["chunk_folder"] = os.path.join(FLAGS.output, ".chunks")
    if FLAGS.gallery == "folder":
        return rk.gallery.build_gallery(model, FLAGS.images, **options), None
    split = common_flags.choose_split(common_flags.load_data(), FLAGS.gallery)
    gallery = rk.gallery.build_gallery(model, split, **options)
    queries = keras.ops.convert_to_numpy(model.encode_texts(split.captions[:1000]))
    return gallery, np.asarray(queries)


def read_run():
    """Returns flags and path of the report of the run that the model is from."""
    folder = os.path.dirname(FLAGS.model)
    found = {}
    path = os.path.join(folder, "flags.txt")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            found["flags"] = file.read().splitlines()
    path = os.path.join(folder, "report.json")
    if os.path.exists(path):
        found["report"] = path
    return found


def describe(manifest):
    """Returns the signatures as text, one a line."""
    lines = []
    for name, tensors in manifest["signatures"].items():
        sides = [
            ", ".join(
                f"{key}: {spec['dtype']} {spec['shape'] or ''}".rstrip()
                for key, spec in side.items()
            )
            for side in (tensors["inputs"], tensors["outputs"])
        ]
        lines.append(f"  {name}({sides[0]})\n      -> {sides[1]}")
    return "\n".join(lines)


def main(_):
    # Else TensorFlow tells of every name that it changes.
    logging.set_verbosity(logging.WARNING)
    if FLAGS.gallery == "folder" and not FLAGS.images:
        raise app.UsageError("--gallery=folder needs --images, the folder.")
    # Said now, not when all the rest is written.
    for name in FLAGS.formats:
        rk.export.check_tower_format(name)
    common_flags.adopt_data_flags(FLAGS.model)
    model = run_report.load_model(FLAGS.model)
    gallery, queries = build_gallery(model)
    index = FLAGS.index
    if index == "ivf":
        index = rk.gallery.InvertedFileIndex(FLAGS.num_cells, FLAGS.num_probes)
    options = rk.export.ExportOptions(FLAGS.dtype, FLAGS.string_inputs)
    path = rk.export.next_version(FLAGS.output)
    manifest = rk.export.export_saved_model(
        model, path, gallery, index, queries, options, run=read_run()
    )
    rk.export.verify(path)
    for name in FLAGS.formats:
        target = os.path.join(FLAGS.output, f"image_tower_{name}")
        deviation = rk.export.export_image_tower(model, target, name, overwrite=True)
        print(f"{target}: within {deviation:.1e} of the model.")
    print(f"Signatures of {path}:\n{describe(manifest)}")
    if gallery is not None:
        recall = manifest["gallery"]["recall_at_10"]
        print(f"{len(gallery)} items, recall@10 of --index={FLAGS.index}: {recall:.3f}.")
    name = os.path.basename(os.path.abspath(FLAGS.output))
    print(
        f"Check it with rocmr_keras.export.verify({path!r}). A stock server takes it as it is:\n"
        f"  tensorflow_model_server --rest_api_port=8501 --model_name={name} "
        f"--model_base_path={os.path.abspath(FLAGS.output)}"
    )


if __name__ == "__main__":
    app.run(main)
