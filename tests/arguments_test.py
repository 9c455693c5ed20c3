"""No function asks for more than a reader can keep in mind."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("rocmr_keras/**/*.py"), *ROOT.glob("recipes/*.py")])
MOST = 8

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def count(arguments):
    """Without `self`, and `*` and `**`, which hand on what others ask for."""
    names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    return len([name for name in names if name not in ("self", "cls")])


def constructors_of_keras(tree):
    """Constructors of classes that Keras saves: each argument is a key of the config."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if any("register_keras_serializable" in ast.unparse(d) for d in node.decorator_list):
                yield from (f for f in node.body if getattr(f, "name", "") == "__init__")


def counts(tree):
    """Pairs of a name and the number of its arguments; a dataclass has its fields."""
    exempt = set(constructors_of_keras(tree))
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and node not in exempt:
            yield getattr(node, "name", "lambda"), count(node.args)
        elif isinstance(node, ast.ClassDef):
            if any("dataclass" in ast.unparse(d) for d in node.decorator_list):
                yield node.name, sum(isinstance(field, ast.AnnAssign) for field in node.body)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_at_most_eight_arguments(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [(name, number) for name, number in counts(tree) if number > MOST]


def test_what_is_counted():
    tree = ast.parse(
        "def f(a, b, /, c, *, d=0, **options): return lambda e: e\n"
        "class A:\n    def __init__(self, a): pass\n"
        "@register_keras_serializable()\nclass B:\n    def __init__(self, a): pass\n"
        "@dataclass\nclass C:\n    a: int\n    b: int = 0\n"
    )
    assert sorted(counts(tree)) == [("C", 2), ("__init__", 1), ("f", 4), ("lambda", 1)]
