r"""From nothing to two models side by side, a standard and a robust one, both attacked.

    python recipes/demo.py

runs the other recipes and prints each command, so that it can be run by itself:

1. `finetune.py` joins an image and a text tower that were pretrained apart: the projections and
   the words train, on clean pairs;
2. two `finetune.py` go on from there side by side, one on clean pairs, one on what RoCMR trains on;
3. an `evaluate.py` for each attacks it with AutoAttack, at `--attack_epsilon`, and with PGD over
   several budgets;
4. `compare.py` writes one table, one page and three pictures of both.

Everything goes to `--output`. `--resume` goes on with an interrupted run. The data
flags are those of the other recipes: `--dataset=csv --captions=... --images=...` makes it the
demo of your own photos.
"""

import csv
import dataclasses
import os
import pathlib
import re
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
common_flags.define_budget(
    "image_epsilon", None, "Image budget of the robust training; by default 4/255, of photos 2/255."
)
common_flags.define_budget("attack_epsilon", 2 / 255, "Image budget of AutoAttack.")
common_flags.define_data_flags()
flags.adopt_module_key_flags(common_flags)

_RECIPES = pathlib.Path(__file__).parent
_SECONDS_BETWEEN_LOOKS = 1.0
#: For glibc: keep what a step has used for the next one. Asking the system anew took a tenth.
_KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}
#: What AutoAttack prints before each of its stages.
_ATTACK = re.compile(r"^((?:query|both), .+):$", re.MULTILINE)

#: Clean pairs keep pretrained features, robust ones must be learnt anew: a tenfold rate on emoji.
_CLEAN = ["--learning_rate=2e-4"]
_ROBUST = ["--warmup=0.5", "--text_epsilon=0.05"]
#: Learning rate and image budget. Of photographs those for emoji leave nothing.
_ROBUST_ON = {"emoji": ("2e-3", "4/255"), "others": ("3e-4", "2/255")}
#: Shown to cost no robust recall on emoji, for this preset; on photographs it may.
_CHEAPER = {("emoji", "rocmr"): ["--constant_clean_images"]}


def main(_):
    started = time.monotonic()
    folder, presets = pathlib.Path(FLAGS.output), FLAGS.presets
    run_beside({"start": [start(folder)]}, folder)
    run_beside({name: [train(folder, name), attack(folder, name)] for name in presets}, folder)
    run_beside({"compare": [compare(folder)]}, folder)
    print((folder / "tables.md").read_text("utf-8"))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes.")
    print(f"Look at attacked.png, retrieval.png, epsilon.png and report.html in {folder}.")


@dataclasses.dataclass
class Job:
    """A recipe with its flags, and the file that it leaves when it is done."""

    recipe: str
    flags: list
    result: pathlib.Path


def finetuning(folder, *own):
    """Returns a training into a folder, which goes on or starts anew as the demo does."""
    again = [f"--{name}" for name in ("resume", "overwrite") if FLAGS[name].value]
    shared = ["--evaluate_on=none", f"--seed={FLAGS.seed}", f"--output={folder}"]
    return Job("finetune.py", [*own, *shared, *again], folder / "model.keras")


def start(folder):
    """Trains the projections and the words of two towers, on clean pairs."""
    return finetuning(
        folder / "start",
        f"--model={FLAGS.model}",
        f"--image_size={FLAGS.image_size}",
        f"--sequence_length={FLAGS.sequence_length}",
        "--preset=standard",
        "--freeze_images=tower",
        "--epochs=8",
        "--learning_rate=1e-3",
        "--shift=0",
    )


def train(folder, preset):
    """Goes on from there with a preset's objective; the words stay as they are."""
    rate, epsilon = _ROBUST_ON.get(FLAGS.dataset, _ROBUST_ON["others"])
    return finetuning(
        folder / preset,
        f"--model={folder / 'start' / 'model.keras'}",
        f"--preset={preset}",
        "--freeze_texts=2",
        *(_CLEAN if preset == "standard" else [f"--learning_rate={rate}", *_ROBUST]),
        f"--image_epsilon={written('image_epsilon') or epsilon}",
        f"--epochs={FLAGS.epochs}",
        *_CHEAPER.get((FLAGS.dataset, preset), []),
    )


def attack(folder, preset):
    """Attacks a model with AutoAttack, and with PGD over the budgets of the curve."""
    own = [
        f"--model={folder / preset / 'model.keras'}",
        "--attacks=fast",
        "--curve",
        "--eval_epsilons=1/255,2/255,4/255,8/255",
        "--eval_steps=10",
        f"--eval_both={written('attack_epsilon')}",
        "--nopictures",
        f"--seed={FLAGS.seed}",
        f"--output={folder / preset}",
    ]
    return Job("evaluate.py", own, folder / preset / "report.json")


def compare(folder):
    """Puts the reports into one table, page and curve, and draws the models side by side."""
    own = [
        f"--runs={','.join(str(folder / preset) for preset in FLAGS.presets)}",
        f"--eval_both={written('attack_epsilon')}",
        "--pictures",
        f"--seed={FLAGS.seed}",
        f"--output={folder}",
    ]
    return Job("compare.py", own, folder / "attacked.png")


def written(name):
    """Returns a flag as a person writes it, empty where it has no value."""
    return FLAGS[name].serialize().partition("=")[2]


def run_beside(chains, folder):
    """Runs chains of jobs side by side, and stops all if one fails."""
    chains = {name: remaining(name, jobs) for name, jobs in chains.items()}
    running = {}
    try:
        while running or any(chains.values()):
            for name, jobs in chains.items():
                if jobs and name not in running:
                    running[name] = Running(name, jobs.pop(0), folder, len(chains))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for name, job in list(running.items()):
                if job.look():
                    del running[name]
    finally:
        for job in running.values():
            job.process.kill()


def remaining(name, jobs):
    """Returns the jobs that are not finished; without `--resume` that is all of them."""
    kept = [job for job in jobs if FLAGS.resume and job.result.exists()]
    for job in kept:
        print(f"{name}: {job.result} is there.")
    return [job for job in jobs if job not in kept]


class Running:
    """A job that runs beside others on its share of the cores; what it prints goes to a log."""

    def __init__(self, name, job, folder, share):
        given = [FLAGS[name] for name in common_flags.DATA if FLAGS[name].present]
        data = [flag.serialize() for flag in given]
        kinds = ["--kinds"] if FLAGS.dataset == "emoji" else []
        command = [str(_RECIPES / job.recipe), *data, *kinds, *job.flags]
        print("python", os.path.join(_RECIPES.name, job.recipe), *command[1:], flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.log = name, folder / f"{name}.log"
        self.recipe, self.started = job.recipe, time.monotonic()
        # A log holds all jobs of a chain, and those of runs before.
        self.read = self.log.stat().st_size if self.log.exists() else 0
        self.history, self.shown = folder / name / "history.csv", 0
        # That of a run before this one.
        self.known = self.history.read_text("utf-8") if self.history.exists() else ""
        # Threads of PyTorch that wait for a core that another job has would stall both.
        threads = str(max(1, (os.cpu_count() or 1) // share))
        settings = {"OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
        with open(self.log, "a", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**_KEPT_MEMORY, **settings, **os.environ},
            )

    def look(self):
        """Prints the epochs that are over and the attacks that began.

        Returns whether the job is over, and ends if it failed.
        """
        is_over = self.process.poll() is not None
        self._show_epochs()
        self._show_attacks()
        if self.process.returncode:
            print(self.log.read_text("utf-8", errors="replace")[-3000:])
            raise SystemExit(
                f"{self.name} failed with exit code {self.process.returncode}. All that it "
                f"printed is in {self.log}."
            )
        if is_over:
            minutes = (time.monotonic() - self.started) / 60
            print(f"{self.name}: {self.recipe} took {minutes:.1f} minutes.", flush=True)
        return is_over

    def _show_attacks(self):
        with open(self.log, "rb") as file:
            file.seek(self.read)
            lines = file.read()
        # The rest of a line that is being written comes next time.
        lines = lines[: lines.rfind(b"\n") + 1]
        self.read += len(lines)
        for attack in _ATTACK.findall(lines.decode("utf-8", errors="replace")):
            print(f"{self.name}: attacked by {attack}", flush=True)

    def _show_epochs(self):
        text = self.history.read_text("utf-8") if self.history.exists() else ""
        if text == self.known:
            return
        rows = list(csv.DictReader(text.splitlines()))
        for number, row in enumerate(rows[self.shown :], start=self.shown + 1):
            figures = ", ".join(
                f"{key.replace('_', ' ')} {float(row[key]):.3f}"
                for key in ("loss", "recall_at_1", "adversarial_recall_at_1")
                if row.get(key)
            )
            print(f"{self.name}: epoch {number}: {figures}", flush=True)
        self.shown = max(self.shown, len(rows))


if __name__ == "__main__":
    app.run(main)
