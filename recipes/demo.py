r"""From nothing to two models side by side, a standard and a robust one, both attacked.

    python recipes/demo.py

runs the other recipes and prints each command, so that it can be run by itself:

1. `finetune.py` joins an image and a text tower that were pretrained apart: the projections and
   the words train, on clean pairs;
2. two `finetune.py` at once go on from there, one on clean pairs, one on what RoCMR trains on;
3. two `evaluate.py` at once attack both with AutoAttack, at the budget of the robust training;
4. `compare.py` writes one table, one page and three pictures of both.

Everything goes to `--output`. `--resume` keeps what an interrupted run has finished. The data
flags are those of the other recipes: `--dataset=csv --captions=... --images=...` makes it the
demo of your own photos.
"""

import csv
import os
import pathlib
import subprocess
import sys
import time

import common_flags
from absl import app
from absl import flags

FLAGS = flags.FLAGS

flags.DEFINE_string("output", "runs/demo", "Folder for models, reports and pictures.")
flags.DEFINE_bool("resume", False, "Keep what is finished.")
flags.DEFINE_string("model", "offline:efficientnet_lite0+minilm_words", "As in finetune.py.")
flags.DEFINE_list("presets", "standard,rocmr", "What is trained, compared and shown.")
flags.DEFINE_integer("image_size", 64, "Side of the images in pixels.")
flags.DEFINE_integer("epochs", 5, "Passes over the images, of each preset.")
flags.DEFINE_integer("seed", 0, "Of everything that is drawn.")
common_flags.define_budget("image_epsilon", 4 / 255, "Budget of training and of the attack.")
common_flags.define_data_flags()

_RECIPES = pathlib.Path(__file__).parent
_SECONDS_BETWEEN_LOOKS = 1.0

#: The token table trains with the projections and then stays as it is.
_TOWERS = ["--freeze_texts=2"]
#: Clean pairs keep pretrained features, robust ones must be learnt anew: a tenfold rate.
_PRESET_FLAGS = {
    "standard": ["--learning_rate=2e-4"],
}
_ROBUST_FLAGS = [
    "--learning_rate=2e-3",
    "--warmup=0.5",
    "--text_attack=words",
    "--text_candidates=2",
    "--notext_look_ahead",
]


def main(_):
    started = time.monotonic()
    folder, parts = pathlib.Path(FLAGS.output), {}
    for part, jobs in (
        ("projections", {"start": start(folder / "start")}),
        ("training", {name: train(folder, name) for name in FLAGS.presets}),
        ("attack", {name: attack(folder, name) for name in FLAGS.presets}),
        ("pictures", {"compare": compare(folder)}),
    ):
        before = time.monotonic()
        run_at_once(jobs, folder)
        parts[part] = time.monotonic() - before
    print((folder / "tables.md").read_text("utf-8"))
    minutes = ", ".join(f"{part} {seconds / 60:.1f}" for part, seconds in parts.items())
    print(f"{(time.monotonic() - started) / 60:.1f} minutes: {minutes}.")
    print(f"Look at attacked.png, retrieval.png, epsilon.png and report.html in {folder}.")


class Job:
    """A recipe with its flags, and the file that it leaves when it is done."""

    def __init__(self, recipe, arguments, result):
        self.recipe, self.arguments, self.result = recipe, arguments, pathlib.Path(result)

    def command(self):
        data = [FLAGS[name].serialize() for name in ("dataset", "captions", "images")]
        kinds = ["--kinds"] if FLAGS.dataset == "emoji" else []
        return [f"{self.recipe}.py", *filter(None, data), *kinds, *self.arguments]


def start(folder):
    """Trains the projections of two towers that stay as they are."""
    return Job(
        "finetune",
        [
            f"--model={FLAGS.model}",
            f"--image_size={FLAGS.image_size}",
            "--sequence_length=16",
            "--preset=standard",
            "--freeze_images=tower",
            "--epochs=8",
            "--learning_rate=1e-3",
            "--shift=0",
            "--evaluate_on=none",
            f"--seed={FLAGS.seed}",
            f"--output={folder}",
        ],
        folder / "model.keras",
    )


def train(folder, preset):
    """Goes on from the projections, with a preset's objective and its budget."""
    return Job(
        "finetune",
        [
            f"--model={folder / 'start' / 'model.keras'}",
            f"--preset={preset}",
            *_TOWERS,
            *_PRESET_FLAGS.get(preset, _ROBUST_FLAGS),
            f"--image_epsilon={budget()}",
            f"--epochs={FLAGS.epochs}",
            "--evaluate_on=none",
            f"--seed={FLAGS.seed}",
            f"--output={folder / preset}",
        ],
        folder / preset / "model.keras",
    )


def attack(folder, preset):
    """Attacks a model with AutoAttack at the budget of the robust training."""
    return Job(
        "evaluate",
        [
            f"--model={folder / preset / 'model.keras'}",
            "--attacks=fast",
            f"--eval_both={budget()}",
            "--nopictures",
            f"--seed={FLAGS.seed}",
            f"--output={folder / preset}",
        ],
        folder / preset / "report.json",
    )


def compare(folder):
    """Puts both reports into one table and page, and draws both models side by side."""
    runs = ",".join(str(folder / preset) for preset in FLAGS.presets)
    return Job(
        "compare",
        [
            f"--runs={runs}",
            "--pictures",
            f"--eval_both={budget()}",
            "--eval_epsilons=1/255,2/255,4/255,8/255",
            "--eval_steps=10",
            f"--seed={FLAGS.seed}",
            f"--output={folder}",
        ],
        folder / "epsilon.png",
    )


def budget():
    return FLAGS["image_epsilon"].serialize().partition("=")[2]


def run_at_once(jobs, folder):
    """Runs jobs side by side, shows how far they are, and stops all if one fails."""
    running = {}
    try:
        for name, job in jobs.items():
            if FLAGS.resume and job.result.exists():
                print(f"{name}: {job.result} is there.")
                continue
            (folder / name / "history.csv").unlink(missing_ok=True)
            running[name] = begin(job, folder / f"{name}.log", len(jobs))
        watch(running, folder)
    finally:
        for process in running.values():
            process.kill()


def begin(job, log, share):
    """Starts a job on its share of the cores; what it prints goes to a log."""
    command = job.command()
    print("python", os.path.join(_RECIPES.name, command[0]), *command[1:], flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // share))
    limits = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    with open(log, "w", encoding="utf-8") as file:
        return subprocess.Popen(
            [sys.executable, str(_RECIPES / command[0]), *command[1:]],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**dict.fromkeys(limits, threads), **os.environ},
        )


def watch(running, folder):
    """Waits for all processes and prints each epoch that one of them finishes."""
    epochs, waiting = dict.fromkeys(running, 0), dict(running)
    while waiting:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        for name, process in list(waiting.items()):
            epochs[name] = show_epochs(name, folder / name / "history.csv", epochs[name])
            if process.poll() is not None:
                del waiting[name]
                check(name, process, folder / f"{name}.log")


def show_epochs(name, history, shown):
    """Prints the rows of a history beyond those that were shown; returns how many there are."""
    if not history.exists():
        return shown
    with open(history, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows[shown:], start=shown + 1):
        figures = ", ".join(
            f"{key.replace('_', ' ')} {float(row[key]):.3f}"
            for key in ("loss", "recall_at_1", "adversarial_recall_at_1")
            if row.get(key)
        )
        print(f"{name}: epoch {number}: {figures}", flush=True)
    return max(shown, len(rows))


def check(name, process, log):
    if process.returncode:
        print(log.read_text("utf-8", errors="replace")[-3000:])
        raise SystemExit(f"{name} failed with exit code {process.returncode}; all of it: {log}")


if __name__ == "__main__":
    app.run(main)
