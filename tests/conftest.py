"""Settings of the whole suite, which runs once for each `KERAS_BACKEND`."""

import atexit
import gc
import os
import pathlib
import shutil
import sys
import tempfile
from importlib import metadata

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On JAX most of the suite is compiling, and a good part of that is optimising, fusing, and cutting
# small programs into parts to compile side by side. A flag that XLA does not know ends the process:
# the last two are set where they were seen to exist.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * metadata.version("jaxlib").startswith("0.10."),
)

# On JAX, to say where in the source each operation comes from took 4 % of the suite.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

# What JAX has compiled, a model that is made anew need not compile again. Each process that runs
# tests has a folder of its own, or it might read what another one has not yet written to its end.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["TEST_COMPILED"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["TEST_COMPILED"], ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(
    os.environ["TEST_COMPILED"], os.environ.get("PYTEST_XDIST_WORKER", "alone")
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"

# A few tests that take longer than hundreds of others: last, one core would wait for the other.
LONGEST_FILES = ("recipes_test.py", "devices_test.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST_FILES)


def pytest_configure(config):
    """Loads the shared fixtures, but not where tests are only handed out to other processes.

    That process would else load all frameworks, while nobody works yet.
    """
    hands_out = config.getoption("tx", None) and not config.getoption("collectonly")
    if hands_out and not hasattr(config, "workerinput"):
        return
    here = str(pathlib.Path(__file__).parent)
    sys.path.insert(0, here)
    config.pluginmanager.import_plugin("shared_fixtures")
    sys.path.remove(here)


def pytest_unconfigure():
    # pytest, and then Python, would go through all objects of the frameworks once more.
    gc.freeze()
