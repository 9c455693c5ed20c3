"""Who may import whom: reads the imports and holds the table of BUILD_NOTES.md."""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import re
import sys

import pytest

import rocmr_keras

PACKAGE = pathlib.Path(rocmr_keras.__file__).parent
RECIPES = sorted(pathlib.Path(__file__).parents[1].joinpath("recipes").glob("*.py"))
MEASURED_BESIDE_FRAMEWORKS = {
    *("benchmark_data.py", "benchmark_first_step.py", "benchmark_serving.py"),
    # Attacks of other authors, who know PyTorch only.
    "foreign_classifier.py",
}

FRAMEWORKS = {"tensorflow", "tensorflow_text", "jax", "torch", "keras_hub", "grain"}

ALLOWED = {
    "backend": set(),
    "layers": {"backend"},
    "losses": set(),
    "files": set(),
    "padded_batches": set(),
    "metrics": set(),
    "fine_tuning": {"layers"},
    "models": {"layers", "fine_tuning"},
    # Ready-made towers come with the tokenizer they were trained with.
    "models/hub": {"models", "layers", "data"},
    "attacks": {"backend", "padded_batches"},
    "trainers": {"backend", "layers", "fine_tuning", "losses", "attacks", "padded_batches"},
    # Never a model: dicts in, files out.
    "reports": {"metrics", "files"},
    # `reports` for the one name that is handed on.
    "evaluation": {"attacks", "metrics", "reports", "padded_batches"},
    "callbacks": {"backend", "files"},
    "data": {"files"},
    "gallery": {"data", "files", "padded_batches"},
    "export": {"data", "models", "gallery", "files", "version"},
    "serving": {"attacks", "data"},
}

# Each part of `evaluation` looks down only, so it can be read from the top.
EVALUATION = (
    {"arguments", "encoding", "identity", "margins", "worst_ranks"},
    {"encoded_split", "protocols"},
    {"epsilon_sweep", "guarantees", "masking_audit", "threat", "transfer", "universal"},
    {"ensemble", "recall_report"},
    {"examples"},
    {"rows"},
)

# `data` decodes with TensorFlow and feeds every backend through Grain, `gallery` and `export`
# write for TensorFlow; the rest computes with Keras alone.
FRAMEWORK_FILES = {
    "backend/tensorflow.py": {"tensorflow"},
    "backend/jax.py": {"jax"},
    "backend/torch.py": {"torch"},
    "backend/devices/mirrored.py": {"tensorflow"},
    "backend/devices/arrays.py": {"jax"},
    "backend/devices/processes.py": {"torch"},
    "backend/tensorflow_chunks.py": {"tensorflow"},
    "backend/jax_chunks.py": {"jax"},
    "backend/jax_convolutions.py": {"jax"},
    "backend/torch_chunks.py": {"torch"},
}
ROOM_FRAMEWORKS = {
    "data": {"tensorflow", "tensorflow_text", "keras_hub", "grain"},
    # TensorFlow as the runtime of search and output.
    "gallery": {"tensorflow"},
    "export": {"tensorflow", "tensorflow_text", "keras_hub"},
    "serving": {"tensorflow", "tensorflow_text"},
    # Inside functions only: it loads TensorFlow.
    "models/hub": {"keras_hub"},
}


def imported_modules(path):
    return imports_of(ast.parse(path.read_text(encoding="utf-8")))


def imports_of(tree):
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def room_of(path):
    relative = path.relative_to(PACKAGE)
    if relative.parent.as_posix() in ALLOWED:
        return relative.parent.as_posix()
    return relative.parts[0].removesuffix(".py")


def files():
    found = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
    return [*found, *(PACKAGE / f"{name}.py" for name in ("files", "padded_batches"))]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_what_its_room_may(path):
    room = room_of(path)
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "rocmr_keras" and len(parts) > 1:
            assert parts[1] in ALLOWED[room] | {room}, module
        allowed = FRAMEWORK_FILES.get(path.relative_to(PACKAGE).as_posix(), set())
        allowed = allowed | ROOM_FRAMEWORKS.get(room, set())
        assert parts[0] not in FRAMEWORKS - allowed, module
        assert not module.startswith("keras.src"), module


def test_parts_of_evaluation_import_from_the_floors_below():
    floor_of = {part: height for height, parts in enumerate(EVALUATION) for part in parts}
    room = PACKAGE / "evaluation"
    for path in room.rglob("*.py"):
        part = path.relative_to(room).parts[0].removesuffix(".py")
        for module in imported_modules(path) if part != "__init__" else ():
            parts = module.split(".")
            if parts[:2] == ["rocmr_keras", "evaluation"] and parts[2] != part:
                assert floor_of[parts[2]] < floor_of[part], (path, module)


def test_kerashub_is_imported_where_it_is_used():
    for path in (PACKAGE / "models" / "hub").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert "keras_hub" not in names, path


def test_models_do_without_the_hub_until_it_is_asked_for():
    for path in (PACKAGE / "models").glob("*.py"):
        if path.name != "__init__.py":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            statements = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
            found = imports_of(ast.Module(statements, type_ignores=[]))
            assert not [module for module in found if ".hub" in module], path


def test_metrics_are_numpy_only():
    for path in (PACKAGE / "metrics").rglob("*.py"):
        roots = {module.partition(".")[0] for module in imported_modules(path)}
        # The one package that holds ground truth is asked for inside a function.
        known = {"rocmr_keras", "numpy", "eccv_caption"}
        assert roots <= known | sys.stdlib_module_names, path


def test_every_room_is_in_the_table():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms <= set(ALLOWED)


def test_only_one_file_replaces_files():
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "files.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"os\.(replace|rename|fsync)|mkstemp|NamedTemporary", text), path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipes_import_the_package_and_its_rooms(path):
    for module in imported_modules(path):
        root, _, room = module.partition(".")
        if root == "rocmr_keras":
            assert not room.startswith("_") and "." not in room, module
        elif path.name not in MEASURED_BESIDE_FRAMEWORKS:
            assert root not in ("tensorflow", "jax", "torch"), module


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipes_use_public_names(path):
    for name in names_of_the_package(path):
        value, parts = rocmr_keras, name.split(".")
        for place, part in enumerate(parts):
            if not inspect.ismodule(value):
                break
            value = public(value, part, ".".join(parts[:place]))
        # Under another name what is used of a room could not be followed.
        assert not inspect.ismodule(value), f"{name} is a room, no name of one"


def names_of_the_package(path):
    """Chains such as `attacks.joint.SCHEDULES` for `rk.attacks.joint.SCHEDULES`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {"rk": ""}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("rocmr_keras", "libraries"):
            rooms = {alias.name for alias in node.names} - {"keras", "rk"}
            names |= {room: f"{room}." for room in rooms}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in inner:
            chain = ast.unparse(node)
            root, _, rest = chain.partition(".")
            # A chain that goes on behind a call begins with another, which comes by itself.
            is_read = isinstance(node.ctx, ast.Load)
            if is_read and root in names and re.fullmatch(r"[\w.]+", chain):
                yield names[root] + rest


def public(module, name, where):
    """Returns what a room offers under a name; a room in a room counts as offered."""
    offered = getattr(module, "__all__", None)
    if offered is None:
        assert not name.startswith("_"), f"{where}.{name}"
    elif name not in offered:
        module = importlib.import_module(f"{module.__name__}.{name}")
        assert hasattr(module, "__all__"), f"{where}.{name} is not public"
        return module
    return getattr(module, name)


FACES = sorted(
    path.parent.relative_to(PACKAGE).as_posix().replace("/", ".")
    for path in PACKAGE.rglob("__init__.py")
    if path.parent != PACKAGE
)


@pytest.mark.parametrize("name", FACES)
def test_no_function_hides_a_file_of_its_room(name):
    face = importlib.import_module(f"rocmr_keras.{name}")
    files = {info.name for info in pkgutil.iter_modules(face.__path__)}
    offered = set(getattr(face, "__all__", ()))
    hiding = {each for each in offered & files if not inspect.ismodule(getattr(face, each))}
    assert not hiding
