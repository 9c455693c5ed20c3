r"""From nothing to two models side by side, a standard and a robust one, both attacked.

    python recipes/demo.py

runs the other recipes and prints each command, so that it can be run by itself:

1. `finetune.py` joins an image and a text tower that were pretrained apart: the projections and
   the words train, on clean pairs;
2. two `finetune.py` go on from there side by side, one on clean pairs, one on what RoCMR trains on;
3. an `evaluate.py` for each attacks it with AutoAttack, at `--attack_epsilon`;
4. `compare.py` writes one table, one page and three pictures of both.

Everything goes to `--output`. `--resume` goes on with an interrupted run. The data
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
flags.DEFINE_bool("resume", False, "Keep what is finished, and go on from what is not.")
flags.DEFINE_bool("overwrite", False, "Start anew where there is a demo already.")
flags.DEFINE_string("model", "offline:efficientnet_lite0+minilm_words", "As in finetune.py.")
flags.DEFINE_list("presets", "standard,rocmr", "What is trained, compared and shown.")
flags.DEFINE_integer("image_size", 64, "Side of the images in pixels.")
flags.DEFINE_integer("sequence_length", 16, "Tokens of a caption.")
flags.DEFINE_integer("epochs", 5, "Passes over the images, of each preset.")
flags.DEFINE_integer("seed", 0, "Of everything that is drawn.")
common_flags.define_budget("image_epsilon", 4 / 255, "Image budget of the robust training.")
common_flags.define_budget("attack_epsilon", 2 / 255, "Image budget of AutoAttack.")
common_flags.define_data_flags()
flags.adopt_module_key_flags(common_flags)

_RECIPES = pathlib.Path(__file__).parent
_DATA = (
    "dataset",
    "captions",
    "images",
    "image_column",
    "caption_column",
    "csv_separator",
    "test_share",
)
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
    "--text_epsilon=0.05",
]


def main(_):
    started = time.monotonic()
    folder, presets = pathlib.Path(FLAGS.output), FLAGS.presets
    run_beside({"start": [start(folder / "start")]}, folder)
    run_beside({name: [train(folder, name), attack(folder, name)] for name in presets}, folder)
    run_beside({"compare": [compare(folder)]}, folder)
    print((folder / "tables.md").read_text("utf-8"))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes.")
    print(f"Look at attacked.png, retrieval.png, epsilon.png and report.html in {folder}.")


class Job:
    """A recipe with its flags, and the file that it leaves when it is done."""

    def __init__(self, recipe, arguments, result):
        self.recipe, self.arguments, self.result = recipe, arguments, pathlib.Path(result)

    def command(self):
        data = [FLAGS[name].serialize() for name in _DATA]
        kinds = ["--kinds"] if FLAGS.dataset == "emoji" else []
        again = [f"--{name}" for name in ("resume", "overwrite") if FLAGS[name].value]
        if self.recipe != "finetune":
            again = []
        return [f"{self.recipe}.py", *filter(None, data), *kinds, *self.arguments, *again]


def start(folder):
    """Trains the projections of two towers that stay as they are."""
    return Job(
        "finetune",
        [
            f"--model={FLAGS.model}",
            f"--image_size={FLAGS.image_size}",
            f"--sequence_length={FLAGS.sequence_length}",
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
            f"--image_epsilon={written('image_epsilon')}",
            f"--epochs={FLAGS.epochs}",
            "--evaluate_on=none",
            f"--seed={FLAGS.seed}",
            f"--output={folder / preset}",
        ],
        folder / preset / "model.keras",
    )


def attack(folder, preset):
    """Attacks a model with AutoAttack."""
    return Job(
        "evaluate",
        [
            f"--model={folder / preset / 'model.keras'}",
            "--attacks=fast",
            f"--eval_both={written('attack_epsilon')}",
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
            f"--eval_both={written('attack_epsilon')}",
            "--eval_epsilons=1/255,2/255,4/255,8/255",
            "--eval_steps=10",
            f"--seed={FLAGS.seed}",
            f"--output={folder}",
        ],
        folder / "epsilon.png",
    )


def written(name):
    """Returns a flag as a person writes it."""
    return FLAGS[name].serialize().partition("=")[2]


def run_beside(chains, folder):
    """Runs chains of jobs side by side, and stops all if one fails."""
    chains = {name: remaining(name, jobs) for name, jobs in chains.items()}
    running, epochs = {}, dict.fromkeys(chains, 0)
    try:
        while running or any(chains.values()):
            for name, jobs in chains.items():
                if jobs and name not in running:
                    running[name] = begin(name, jobs.pop(0), folder, len(chains))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for name, process in list(running.items()):
                epochs[name] = show_epochs(name, folder / name / "history.csv", epochs[name])
                if process.poll() is not None:
                    check(name, running.pop(name), folder / f"{name}.log")
    finally:
        for process in running.values():
            process.kill()


def remaining(name, jobs):
    """Returns the jobs that are not finished; without `--resume` that is all of them."""
    kept = [job for job in jobs if FLAGS.resume and job.result.exists()]
    for job in kept:
        print(f"{name}: {job.result} is there.")
    return [job for job in jobs if job not in kept]


def begin(name, job, folder, share):
    """Starts a job beside others; what it prints goes to a log."""
    command = job.command()
    print("python", os.path.join(_RECIPES.name, command[0]), *command[1:], flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if job.recipe == "finetune":
        # Or its rows would be shown as those of the new run.
        (folder / name / "history.csv").unlink(missing_ok=True)
    with open(folder / f"{name}.log", "a", encoding="utf-8") as file:
        return subprocess.Popen(
            [sys.executable, str(_RECIPES / command[0]), *command[1:]],
            stdout=file,
            stderr=subprocess.STDOUT,
            # Threads of PyTorch that wait for a core that another job has would stall both.
            env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // share)), **os.environ},
        )


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
