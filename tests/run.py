"""Runs lint and the suite on every backend, or some tests under several instruction sets.

    python tests/run.py              # lint, API reference, then TensorFlow, JAX, PyTorch
    python tests/run.py jax torch    # these
    python tests/run.py processors   # marked tests, once for each instruction set

A failure does not hide the rest: all of it runs, and what failed where is said at the end.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

BACKENDS = ("tensorflow", "jax", "torch")
ROOT = pathlib.Path(__file__).parents[1]
LINT = (["check", "."], ["format", "--check", "."])

# Both cores, file by file, in the order of `conftest.py`, not by numbers of tests.
SPREAD = ["-n", "2", "--dist=loadfile", "--no-loadscope-reorder"]

# Each of both has a core: a second thread would wait for the other's, some of them in a busy loop.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}

# For glibc: a tenth of the time went into giving memory back and asking for it again.
KEPT_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
}

# As far as a process can choose them. The first word is the backend.
INSTRUCTION_SETS = {
    "tensorflow, AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "tensorflow, without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0", "OPENBLAS_CORETYPE": "Zen"},
    "jax, AVX2": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "jax, SSE4.2": {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2", "OPENBLAS_CORETYPE": "Nehalem"},
    "torch, AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "torch, without AVX": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text():
    INSTRUCTION_SETS["tensorflow, AVX-512"] = {"OPENBLAS_CORETYPE": "SkylakeX"}


def reference():
    """Builds the API reference, and fails where pdoc warns."""
    # Libraries ask for the name of the machine, which pdoc would warn of.
    settings = {"KERAS_BACKEND": "torch", "PDOC_ALLOW_EXEC": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = ["pdoc", "-o", folder, "rocmr_keras", "rocmr_keras.serving"]
        code, lines = start(command, settings, shows=False)
        pages = len(list(pathlib.Path(folder).rglob("*.html")))
    warned = [line for line in lines if line.startswith("Warn")]
    said = lines if code else warned
    return int(bool(code or warned)), said or [f"{pages} pages"]


def everything():
    """Runs lint and all suites, and the API reference, one core's work, beside the first."""
    linted = lint()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        built = pool.submit(reference)
        results = suites(BACKENDS)
    return {"lint": linted, "API reference": built.result(), **results}


def suites(backends):
    with tempfile.TemporaryDirectory() as renderings:
        return {name: suite(name, renderings) for name in backends}


def suite(backend, renderings):
    """Runs the tests on a backend, shows what they print, returns exit code and last lines."""
    print(f"\n=== {backend} ===", flush=True)
    settings = {"KERAS_BACKEND": backend, "TEST_RENDERINGS": renderings}
    return told(start(["pytest", "-q", *SPREAD], {**settings, **ONE_THREAD, **KEPT_MEMORY}))


def processors():
    """Runs the marked tests under each set, two at a time: most of a run is one core's work."""
    # Collecting the other files would take longer than these tests.
    marked = [p for p in ROOT.glob("tests/**/*_test.py") if "mark.processor" in p.read_text()]
    command = ["pytest", "-q", "-m", "processor", *map(str, marked)]

    def run(name):
        settings = {"KERAS_BACKEND": name.partition(",")[0], **INSTRUCTION_SETS[name]}
        code, lines = start(command, settings, shows=False)
        print("\n".join([f"\n=== {name} ===", *lines]), flush=True)
        return told((code, lines))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(INSTRUCTION_SETS, pool.map(run, INSTRUCTION_SETS)))


def told(result):
    """Returns the exit code of pytest, and of its lines those to be read at the end."""
    code, lines = result
    marks = ("FAILED", "ERROR")
    return code, [s for s in lines if s.startswith(marks) or " passed" in s or " failed" in s]


def lint():
    """Runs ruff, shows what it prints, and returns its exit code and last lines."""
    print("\n=== lint ===", flush=True)
    results = [start(["ruff", *arguments]) for arguments in LINT]
    return int(any(code for code, _ in results)), [lines[-1] for _, lines in results if lines]


def start(arguments, settings=None, shows=True):
    """Runs a module of Python, shows what it prints, and returns its exit code and lines."""
    # Else each of many processes compiles all of the package, and each suite all tests.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(settings or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = [sys.executable, "-m", *arguments]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        for line in process.stdout:
            print(line if shows else "", end="", flush=True)
            lines.append(line.rstrip())
    return process.returncode, lines


def main(names):
    if names == ["processors"]:
        results = processors()
    elif set(names) <= set(BACKENDS):
        results = suites(names) if names else everything()
    else:
        sys.exit(f"Name backends of {BACKENDS}, or 'processors'. Received: {' '.join(names)}.")
    print("\n=== in all ===")
    for name, (code, said) in results.items():
        print(f"{name}: {'passed' if code == 0 else f'FAILED with exit code {code}'}")
        print("".join(f"    {line}\n" for line in said), end="")
    return int(any(code for code, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
