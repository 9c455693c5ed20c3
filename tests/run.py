"""Runs lint and the suite on every backend, or some tests under several instruction sets.

    python tests/run.py              # lint, then TensorFlow, JAX, PyTorch, one after the other
    python tests/run.py jax torch    # these
    python tests/run.py processors   # marked tests, once for each instruction set

A failure does not hide the rest: all of it runs, and what failed where is said at the end.
"""

import os
import pathlib
import subprocess
import sys

BACKENDS = ("tensorflow", "jax", "torch")
ROOT = pathlib.Path(__file__).parents[1]
LINT = (["check", "."], ["format", "--check", "."])

# Both cores, file by file, in the order of `conftest.py`, not by numbers of tests.
SPREAD = ["-n", "2", "--dist=loadfile", "--no-loadscope-reorder"]

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


def run(name, arguments=(), settings=None):
    """Runs pytest, shows what it prints, and returns its exit code and last lines."""
    print(f"\n=== {name} ===", flush=True)
    settings = {"KERAS_BACKEND": name.partition(",")[0], **(settings or {})}
    code, lines = start(["pytest", "-q", *arguments], settings)
    marks = ("FAILED", "ERROR")
    return code, [s for s in lines if s.startswith(marks) or " passed" in s or " failed" in s]


def lint():
    """Runs ruff, shows what it prints, and returns its exit code and last lines."""
    print("\n=== lint ===", flush=True)
    results = [start(["ruff", *arguments]) for arguments in LINT]
    return int(any(code for code, _ in results)), [lines[-1] for _, lines in results if lines]


def start(arguments, settings=None):
    """Runs a module of Python, shows what it prints, and returns its exit code and lines."""
    environment = {**os.environ, **(settings or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = [sys.executable, "-m", *arguments]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return process.returncode, lines


def main(names):
    if names == ["processors"]:
        # Collecting the other files would take longer than these tests.
        marked = [p for p in ROOT.glob("tests/**/*_test.py") if "mark.processor" in p.read_text()]
        arguments = ["-m", "processor", *map(str, marked)]
        runs = [(name, arguments, settings) for name, settings in INSTRUCTION_SETS.items()]
    elif set(names) <= set(BACKENDS):
        runs = [(name, SPREAD, None) for name in names or BACKENDS]
    else:
        sys.exit(f"Name backends of {BACKENDS}, or 'processors'. Received: {' '.join(names)}.")
    results = {} if names else {"lint": lint()}
    results |= {name: run(name, *rest) for name, *rest in runs}
    print("\n=== in all ===")
    for name, (code, said) in results.items():
        print(f"{name}: {'passed' if code == 0 else f'FAILED with exit code {code}'}")
        print("".join(f"    {line}\n" for line in said), end="")
    return int(any(code for code, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
