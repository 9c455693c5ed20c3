"""One name, one thing: whoever searches for a name finds one place."""

import ast
import collections
import pathlib

import rocmr_keras

PACKAGE = pathlib.Path(rocmr_keras.__file__).parent

# Written once for each framework, of which one is loaded.
OF_EACH_BACKEND = {
    *("AdversarialSteps", "build_optimizer", "needs_like", "random_state", "run_chunks"),
    *("set_random_state", "value_and_grad", "vjp"),
    *("count_replicas", "divides", "encodes_alone", "forgot_devices", "gather"),
    *("convolve", "convolve_depthwise", "gather_numbers", "is_part"),
    *("predict_batch", "replicas", "share"),
    # Documented for users in `trainers`.
    *("on_devices", "process"),
}
# As in Keras, of the module before the dot: `losses.get`, `models.build`.
OF_EACH_MODULE = {"build", "get"}


def twins(pairs):
    """Names that are in two places."""
    places = collections.defaultdict(set)
    for name, place in pairs:
        places[name].add(place.relative_to(PACKAGE).as_posix())
    return {name: found for name, found in places.items() if len(found) > 1}


def public_names(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_":
            yield node.name


def test_no_two_functions_or_classes_share_a_name():
    found = twins((name, path) for path in PACKAGE.rglob("*.py") for name in public_names(path))
    assert set(found) == OF_EACH_BACKEND | OF_EACH_MODULE


def test_no_two_files_share_a_name():
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    # What a room asks of its arguments.
    assert set(twins((path.name, path) for path in files)) == {"checks.py"}
