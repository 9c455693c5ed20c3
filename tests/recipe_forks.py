"""Runs recipes as forks of one process that has loaded the libraries: that takes longer than they.

    python tests/recipe_forks.py < requests

A request is a line of JSON, `[folder, script, *flags]`; so is the answer, `[exit status, what the
script printed, what it said of errors]`. Of the package and of the recipes nothing is loaded before
the fork: each script imports what is ours as in a process of its own.
"""

import json
import os
import pathlib
import runpy
import sys
import tempfile

import grain.python  # noqa: F401
import keras  # noqa: F401
import keras_hub  # noqa: F401
import matplotlib.figure  # noqa: F401


def become(folder, out, errors, script, *flags):
    """Makes this process the one that `python script *flags` would be."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    os.chdir(folder)
    sys.argv, sys.path[0] = [script, *flags], str(pathlib.Path(script).parent)
    runpy.run_path(script, run_name="__main__")


def main():
    for line in iter(sys.stdin.readline, ""):
        folder, *command = json.loads(line)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if not child:
                return become(folder, out, errors, *command)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            # The child wrote at a place of its own.
            said = [pathlib.Path(f"/proc/self/fd/{f.fileno()}").read_text() for f in (out, errors)]
            print(json.dumps([code, *said]), flush=True)


if __name__ == "__main__":
    main()
