r"""Serves a SavedModel as `tensorflow_model_server` does, with a page to look at.

    python recipes/serve.py --model_name=rocmr --model_base_path=serving

serves the highest version below `serving/` over gRPC (port 8500) and REST (port 8501) on the
loopback address, and changes over when a higher version appears. On SIGTERM it takes no more
connections, answers what is at work, for at most `--grace_seconds`, and exits with 0, or with 1
where requests had to be given up. `--noverify` serves a SavedModel of another maker, which has no
manifest. `/healthz`, `/readyz`, `/metrics` and the gRPC health service are for machines. Who asks
by another name than an address of this machine gives it in `--server_names`.

The page is at http://127.0.0.1:8501/: type a text or drop a picture. Pictures show with
`--thumbnails=test`, or what `--gallery` was in `export.py`. With

    KERAS_BACKEND=tensorflow python recipes/serve.py ... \
        --attack_models=runs/standard/model.keras,runs/rocmr/model.keras

the button "attack" shows what a small perturbation does to these models side by side. It needs
`pip install "rocmr-keras[serve]"`.
"""

import logging
import os
import pathlib

import common_flags
from absl import app
from absl import flags
from libraries import keras
from libraries import rk
from libraries import serving

FLAGS = flags.FLAGS

common_flags.define_data_flags()
flags.adopt_module_key_flags(common_flags)
flags.DEFINE_string("model_name", "rocmr", "Name that clients ask for.")
flags.DEFINE_string("model_base_path", None, "Folder of the version folders.", required=True)
flags.DEFINE_string("host", "127.0.0.1", "Address to bind; there is no authentication.")
flags.DEFINE_integer("port", 8500, "Of gRPC; 0 picks one.")
flags.DEFINE_integer("rest_api_port", 8501, "Of REST and the page; 0 picks one.")
flags.DEFINE_integer("threads", os.cpu_count(), "Requests that run at the same time.")
flags.DEFINE_integer("max_waiting", 1024, "Requests taken in; more are refused.")
flags.DEFINE_integer("max_megabytes", 32, "Largest request.")
flags.DEFINE_integer("max_total_megabytes", 256, "All bodies of REST requests in memory.")
flags.DEFINE_float("body_seconds", 60.0, "In which the body of a REST request must arrive.")
flags.DEFINE_float("grace_seconds", 10.0, "Longest wait for requests at work, on SIGTERM.")
flags.DEFINE_list("server_names", [], "Further names of this server, as clients ask for it.")
flags.DEFINE_bool("access_log", False, "A line for each request.")
flags.DEFINE_float("poll_seconds", 2.0, "Between looks for a new version; 0 for none.")
flags.DEFINE_bool("verify", True, "Serve only what matches its manifest.")
flags.DEFINE_enum(
    "thumbnails",
    "none",
    ["test", "validation", "train", "folder", "none"],
    "What the gallery is of: a split, or all images in --images.",
)
flags.DEFINE_list("attack_models", None, "Files of models or trainers that the page attacks.")
flags.DEFINE_integer("attack_steps", 20, "PGD steps of the page's image attack.")


def load_thumbnails():
    if FLAGS.thumbnails == "none":
        return None
    if FLAGS.thumbnails == "folder":
        return serving.Thumbnails.from_folder(FLAGS.images)
    return serving.Thumbnails.from_split(
        common_flags.choose_split(common_flags.load_data(), FLAGS.thumbnails)
    )


def build_lab(thumbnails):
    """Returns the attack lab of `--attack_models`, or `None`."""
    if not FLAGS.attack_models:
        return None
    if thumbnails is None:
        raise ValueError(
            "Attacked models need a gallery of pictures. Received: --attack_models and "
            "--thumbnails=none. Name the pictures, for example --thumbnails=test."
        )
    # The version is loaded, but the ports open after this.
    logging.info("Loading what the page attacks: %s", ", ".join(FLAGS.attack_models))
    models = {}
    for path in FLAGS.attack_models:
        stem = pathlib.Path(path).stem
        title = pathlib.Path(path).absolute().parent.name if stem == "model" else stem
        models[title] = keras.saving.load_model(path)
    return serving.AttackLab(models, thumbnails.paths, FLAGS.attack_steps)


def main(_):
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", force=True)
    check = rk.export.verify if FLAGS.verify else None
    versions = serving.ModelVersions(FLAGS.model_name, FLAGS.model_base_path, check)
    thumbnails = load_thumbnails()
    if FLAGS.access_log:
        logging.getLogger("rocmr_keras.serving.access").setLevel(logging.INFO)
    bodies = serving.Bodies(
        FLAGS.max_megabytes * 2**20, FLAGS.max_total_megabytes * 2**20, FLAGS.body_seconds
    )
    server = serving.Server(
        versions,
        host=FLAGS.host,
        port=FLAGS.port,
        rest_api_port=FLAGS.rest_api_port,
        admission=serving.Admission(FLAGS.threads, FLAGS.max_waiting, bodies),
        page=serving.Page(versions, thumbnails, build_lab(thumbnails)),
        poll_seconds=FLAGS.poll_seconds,
        server_names=FLAGS.server_names,
    )
    is_done = server.run(FLAGS.grace_seconds)
    logging.shutdown()
    # A model that still runs for a request given up would hold the process.
    os._exit(0 if is_done else 1)


if __name__ == "__main__":
    app.run(main)
