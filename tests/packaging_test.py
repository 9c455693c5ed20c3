"""What is installed: the wheel's packages, and the command that runs the recipes."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import rocmr_keras as rk

ROOT = pathlib.Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
COMMANDS = "demo train finetune evaluate compare export update serve pack embed".split()
FLAGS = {"serve": ("dataset", "model_base_path"), "update": ("images", "output", "remove")}
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch", "keras_hub", "grain"}


def command(*arguments, options=()):
    line = [sys.executable, *options, str(RECIPES / "command_line.py"), *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=dict(os.environ))


def enum_of(recipe, name):
    """The values of a flag, which are written out so that nothing is imported for them."""
    tree = ast.parse((RECIPES / recipe).read_text("utf-8"))
    values = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "flags.DEFINE_enum":
            if node.args[0].value == name:
                listed = values.get(ast.unparse(node.args[2]), node.args[2])
                return eval(ast.unparse(listed))


def test_the_wheel_holds_every_package_and_the_recipes():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "rocmr_keras").rglob("*.py")}
    packages = {path.relative_to(ROOT).as_posix().replace("/", ".") for path in folders}
    assert set(settings["packages"]) == packages | {"rocmr_keras_recipes"}
    assert settings["package-dir"] == {"rocmr_keras_recipes": "recipes"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_flags_before_a_framework_is_imported(name):
    result = command(name, "--help", options=("-X", "importtime"))
    loaded = set(re.findall(r"\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert "absl.flags" in loaded and not loaded & {*FRAMEWORKS, "rocmr_keras"}
    for flag in FLAGS.get(name, ("dataset", "output")):
        assert f"--{flag}:" in result.stdout


def test_help_of_training_shows_what_all_trainings_share():
    shown = command("train", "--help").stdout
    for flag in ("preset", "image_epsilon", "epochs", "captions", "eval_epsilons", "image_size"):
        assert f"--{flag}:" in shown


def test_the_command_tells_its_commands():
    shown = command().stdout
    assert re.findall(r"^  (\w+)", shown, re.MULTILINE) == COMMANDS
    wrong = command("trian")
    assert wrong.returncode == 1 and "Received: 'trian'. Did you mean 'train'?" in wrong.stderr


def test_a_wrong_flag_is_refused_by_name():
    wrong = command("train", "--epsilon=4/255")
    assert wrong.returncode != 0 and "epsilon" in wrong.stderr


def test_flags_offer_what_the_library_has():
    assert enum_of("train.py", "size") == sorted(rk.models.SIZES)
    assert enum_of("training.py", "preset") == sorted(rk.trainers.PRESETS)
