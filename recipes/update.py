r"""Changes what a served model searches: new images in, others out, nothing embedded again.

    rocmr-keras update --model=runs/rocmr/model.keras --output=serving --images=photos \
        --remove=17,230

makes of the highest version in `serving`, say 3, the next one, `serving/4`, which a running server
changes over to by itself. Of the images in the folder and below those are embedded whose names the
gallery has not; `--remove` takes ids, as searches return them, and goes first, so that a changed
image comes in anew. The model must be the one that was exported.
"""

import run_report
from absl import app
from absl import flags
from absl import logging
from libraries import rk

FLAGS = flags.FLAGS

flags.DEFINE_string("model", None, "File of the model that was exported.", required=True)
flags.DEFINE_string("output", "serving", "Folder of the versions, of which the highest is taken.")
flags.DEFINE_string("images", None, "Folder whose new images are added.")
flags.DEFINE_list("remove", [], "Ids of items that go.")
flags.DEFINE_integer("batch_size", 64, "Images embedded at a time.")
flags.DEFINE_float("max_bad_fraction", 0.01, "Share of the new images that may be unreadable.")


def append_new(model, gallery, first_id):
    """Returns the gallery with the images of the folder that it has not, numbered on."""
    paths, _, names = rk.gallery.list_items(FLAGS.images, "images")
    known = set(gallery.names)
    new = [place for place, name in enumerate(names) if name not in known]
    if not new:
        return gallery
    added = rk.gallery.build_gallery(
        model,
        [paths[place] for place in new],
        batch_size=FLAGS.batch_size,
        max_bad_fraction=FLAGS.max_bad_fraction,
    )
    # Its ids are places in the list; unreadable images are left out.
    names = [names[new[place]] for place in added.ids]
    return gallery.append(added.vectors, first_id + added.ids, names)


def main(_):
    # Else TensorFlow tells of every name that it changes.
    logging.set_verbosity(logging.WARNING)
    path = rk.export.latest_version(FLAGS.output)
    before = gallery = rk.export.read_gallery(path)
    if FLAGS.remove:
        gallery = gallery.remove([int(number) for number in FLAGS.remove])
    model = run_report.load_model(FLAGS.model)
    rest = len(gallery)
    if FLAGS.images:
        # An id that went away now does not come again as that of another image.
        gallery = append_new(model, gallery, before.ids.max() + 1)
    gone, come = len(before) - rest, len(gallery) - rest
    if not gone and not come:
        print(f"{path}: {len(before)} items, nothing to change.")
        return
    new = rk.export.export_update(model, path, gallery)
    print(f"{new}: {len(gallery)} items, {come} embedded, {gone} removed since {path}.")


if __name__ == "__main__":
    app.run(main)
