r"""The recipes as one command, which comes with the package.

    rocmr-keras train --output=runs/rocmr

is `python recipes/train.py --output=runs/rocmr`.
"""

import difflib
import pathlib
import runpy
import sys

COMMANDS = {
    "demo": "a standard and a robust model of emoji, attacked and shown side by side",
    "train": "a dual encoder from scratch, robustly or not",
    "finetune": "a trained model, to make it robust",
    "evaluate": "a trained model: recall, clean and attacked",
    "compare": "several runs, in one table and one figure",
    "export": "a SavedModel with a gallery inside",
    "update": "what a SavedModel searches: images in, others out",
    "serve": "a SavedModel, over REST and gRPC, with a page",
    "pack": "images and captions, decoded once for all runs",
    "embed": "images or captions, as a gallery of vectors",
}


def usage():
    """Returns what can be asked for, a line each."""
    lines = [f"  {name:<10}{what}" for name, what in COMMANDS.items()]
    head = "Usage: rocmr-keras COMMAND [flags]. The flags are in `rocmr-keras COMMAND --help`."
    return "\n".join([head, "", *lines])


def refusal(name):
    """Returns what is wrong with the name of a command."""
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"A command must be one of {', '.join(COMMANDS)}. Received: {name!r}.{hint}"


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "--helpfull", "help"):
        print(usage())
        return
    if name not in COMMANDS:
        sys.exit(refusal(name))
    folder = pathlib.Path(__file__).absolute().parent
    # As for a script: the recipes import what they share by its name alone.
    sys.path.insert(0, str(folder))
    del sys.argv[1]
    runpy.run_path(str(folder / f"{name}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
