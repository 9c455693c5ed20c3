"""Writes `golden.json` anew, from the figures that `golden_test.py` computes.

    python tests/trainers/golden.py

Shows the largest change first, and leaves a file alone that still holds. To be run only where
a commit means to change what a training step computes and says so; never to make a failing
test pass after a change that should alter no number, for one backend that differs from the
others, or for another processor. Afterwards the tests must pass on every backend:
`python tests/run.py`, and `python tests/run.py processors`.
"""

import json
import pathlib
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE / "golden.json"


class Recorder:
    """Keeps what the fixture `figures` is in a run of pytest."""

    def __init__(self):
        self.figures = None

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        value = yield
        if fixturedef.argname == "figures":
            self.figures = value
        return value


def changes(old, new):
    """Returns the largest relative change of each figure."""
    found = {}
    for name, values in new.items():
        now = np.asarray(values, "float64")
        before = np.asarray(old.get(name, np.inf), "float64")
        if before.shape != now.shape:
            before = np.full_like(now, np.inf)
        change = np.abs(now - before) / np.maximum(np.abs(now), 1e-12)
        found[name] = float(np.max(change))
    return found


def main():
    recorder = Recorder()
    test = str(HERE / "golden_test.py")
    code = pytest.main(["-q", "--tb=no", "--no-header", test], plugins=[recorder])
    if recorder.figures is None:
        sys.exit("No figures: see `pytest tests/trainers/golden_test.py`.")
    found = changes(json.loads(GOLDEN.read_text(encoding="utf-8")), recorder.figures)
    name = max(found, key=found.get)
    print(f"Largest change: {found[name]:.2e} of {name}, relatively.")
    if code == pytest.ExitCode.OK:
        print("All within the tolerances: the file stays as it is.")
        return
    GOLDEN.write_text(json.dumps(recorder.figures, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {GOLDEN}.")


if __name__ == "__main__":
    main()
