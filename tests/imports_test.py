"""Who may import whom: reads the imports and holds the table of BUILD_NOTES.md."""

import ast
import pathlib
import sys

import pytest

import rocmr_keras

PACKAGE = pathlib.Path(rocmr_keras.__file__).parent
FRAMEWORKS = {"tensorflow", "tensorflow_text", "jax", "torch", "keras_hub", "grain"}

ALLOWED = {
    "backend": set(),
    "layers": set(),
    "losses": set(),
    "files": set(),
    "padded_batches": set(),
    "metrics": set(),
    "fine_tuning": {"layers"},
    "models": {"layers", "fine_tuning"},
    # Ready-made towers come with the tokenizer they were trained with.
    "models/hub": {"models", "layers", "data"},
    "attacks": {"backend", "padded_batches"},
    "trainers": {"backend", "layers", "losses", "attacks"},
    # Never a model: dicts in, files out.
    "reports": {"metrics", "files"},
    # `reports` for the one name that is handed on.
    "evaluation": {"attacks", "metrics", "reports", "padded_batches"},
    "callbacks": {"files"},
    "data": {"files", "padded_batches"},
    "gallery": {"data", "files", "padded_batches"},
    "export": {"data", "models", "gallery", "files", "version"},
    "serving": {"attacks", "data"},
}

# `data` decodes with TensorFlow and feeds every backend through Grain, `gallery` and `export`
# write for TensorFlow; the rest computes with Keras alone.
FRAMEWORK_FILES = {
    "backend/tensorflow.py": {"tensorflow"},
    "backend/jax.py": {"jax"},
    "backend/torch.py": {"torch"},
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
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    return [*found, *(PACKAGE / f"{name}.py" for name in ("callbacks", "files", "padded_batches"))]


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


def test_kerashub_is_imported_where_it_is_used():
    for path in (PACKAGE / "models" / "hub").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert "keras_hub" not in names, path


def test_metrics_are_numpy_only():
    for path in (PACKAGE / "metrics").rglob("*.py"):
        roots = {module.partition(".")[0] for module in imported_modules(path)}
        # The one package that holds ground truth is asked for inside a function.
        known = {"rocmr_keras", "numpy", "eccv_caption"}
        assert roots <= known | sys.stdlib_module_names, path


def test_every_room_is_in_the_table():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms <= set(ALLOWED)
