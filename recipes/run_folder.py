"""The folder of a run: one run at a time, the same flags when it goes on, nothing lost."""

import contextlib
import errno
import os
import re
import sys

import run_report
from absl import flags
from libraries import rk

FLAGS = flags.FLAGS

# What may differ when a run goes on, for it does not change what is trained.
_FREE = re.compile(
    "output|resume|overwrite|pack|save_every|devices|evaluate_on|min_captions|merge_duplicates"
    "|check_leaks|eval_.*"
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The lock lasts as long as the process.
_held = []


def define_flags():
    """Defines how a run is saved, goes on and replaces another one."""
    flags.DEFINE_bool("resume", False, "Go on from the newest state that was saved.")
    flags.DEFINE_bool("overwrite", False, "Start anew where there is a run already.")
    flags.DEFINE_string(
        "save_every", None, "Save within epochs too: steps, such as 200, or minutes: 10min."
    )
    flags.register_validator(
        "save_every",
        lambda value: value is None or bool(re.fullmatch(r"[1-9]\d*(min)?", value)),
        "write steps as 200, or minutes as 10min",
    )
    flags.DEFINE_enum(
        "non_finite", "stop", ["stop", "skip"], "What follows a step that is not finite."
    )


def claim():
    """Takes the output folder, refuses what would lose a run, and writes the flags."""
    _held.append(rk.files.lock_folder(FLAGS.output))
    former = os.path.join(FLAGS.output, "flags.txt")
    if FLAGS.resume:
        if os.path.exists(former):
            with open(former, encoding="utf-8") as file:
                _check_flags(file.read().splitlines())
    else:
        _check_free()
    run_report.write_flags(FLAGS.output)


def _check_free():
    """Refuses a folder with a run, or removes its state where it may be overwritten."""
    names = ("state.npz", "state.npz.previous", "model.keras")
    found = [name for name in names if os.path.exists(os.path.join(FLAGS.output, name))]
    if found and not FLAGS.overwrite:
        raise ValueError(
            f"The output folder must not hold a run. Received: --output={FLAGS.output} with "
            f"{', '.join(found)}. Go on with --resume, replace it with --overwrite, or choose "
            "another folder."
        )
    for name in names[:2]:
        # Or a resumed run could go on from the state of the other one.
        rk.files.remove(os.path.join(FLAGS.output, name))


def _check_flags(lines):
    """Refuses to go on with other flags, and names them."""
    differing = []
    for name, flag in run_report.own_flags().items():
        pattern = re.compile(rf"--(no)?{name}(=.*)?")
        former = next((line for line in lines if pattern.fullmatch(line)), "")
        is_new = not former and flag.using_default_value
        if former != flag.serialize() and not is_new and not _may_differ(name, former):
            differing.append(f"{former or f'no --{name}'} is now {flag.serialize() or 'not given'}")
    if differing:
        raise ValueError(
            "A run goes on with the flags it began with; --epochs may grow. Received: "
            f"{'; '.join(differing)}. Give the former flags (--flagfile="
            f"{os.path.join(FLAGS.output, 'flags.txt')} --resume), or choose another folder."
        )


def _may_differ(name, former):
    if name == "epochs":
        return FLAGS.epochs >= int(former.partition("=")[2])
    return bool(_FREE.fullmatch(name))


def make_checkpoint():
    """Returns the `Checkpoint` that the flags name."""
    number, unit, _ = (FLAGS.save_every or "").partition("min")
    often = {f"every_{'minutes' if unit else 'steps'}": int(number)} if number else {}
    return rk.callbacks.Checkpoint(os.path.join(FLAGS.output, "state.npz"), **often)


@contextlib.contextmanager
def full_disk_is_said():
    """Ends with a sentence where the disk is full; what was saved before is whole."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        texts = [os.strerror(number) for number in _FULL]
        is_full = getattr(error, "errno", None) in _FULL
        if not is_full and not any(text in str(error) for text in texts):
            raise
        sys.exit(
            f"There is no room to write into {FLAGS.output}: {error}. What was saved before is "
            "whole. Make room, and go on with --resume."
        )
