"""The Python packages that boards get: which wheels, which files of them, where they are here.

A board's Python finds them by ``PYTHONPATH`` alone. So only what ``Interpreter`` needs is
taken out of a wheel: no converter, no GPU accelerator, no tests; and of what a wheel says
that it depends on, only numpy, which is all that is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slmdeploy.errors import OfflineError, UnknownNameError
from slmdeploy.model.fetch import require_space
from slmdeploy.places import cache_dir
from slmdeploy.progress import Progress, Step, silent
from slmdeploy.runtime.once import make_once
from slmdeploy.runtime.wheel_pins import ARCHITECTURES, PinnedWheel, find_pinned, pinned_pythons
from slmdeploy.runtime.wheel_pip import download_wheel
from slmdeploy.runtime.wheel_zip import unpack

__all__ = [
    "PYTHON_RUNTIMES",
    "PythonRuntime",
    "fetch_package",
    "find_package",
    "numpy_wheel",
    "package_files",
    "runtime_wheel",
]


@dataclass(frozen=True)
class PythonRuntime:
    """A runtime that runs in the board's own Python.

    Attributes:
        name: Of the runtime.
        project: As pip names it.
        version: Of the project.
        module: What is imported.
        numpy: Versions of numpy that are brought where the board has none that fits; for
            each Python the first that there is a wheel of.
    """

    name: str
    project: str
    version: str
    module: str
    numpy: tuple[str, ...]


PYTHON_RUNTIMES: Final[Mapping[str, PythonRuntime]] = {
    "litert": PythonRuntime(
        "litert", "ai-edge-litert", "2.3.0", "ai_edge_litert", ("2.2.6", "2.3.5")
    ),
    "tflite-runtime": PythonRuntime(
        "tflite-runtime", "tflite-runtime", "2.14.0", "tflite_runtime", ("1.26.4", "1.24.4")
    ),
}

# Found by importing ai_edge_litert.interpreter and looking what was loaded: the other
# libraries of the wheel (converter, compiled models, WebGPU) are 23 MB.
_INTERPRETER = (
    r"__init__|interpreter|metrics_interface|metrics_portable"
    r"|_pywrap_litert_interpreter_wrapper|libpywrap_litert_common"
)
_LICENCES = r"[^/]+\.dist-info/(METADATA|(licenses/)?(LICEN[CS]E|NOTICE)[^/]*)"
_WANTED: Mapping[str, str] = {
    "ai-edge-litert": rf"ai_edge_litert/({_INTERPRETER})\.(py|so)",
    "tflite-runtime": r"tflite_runtime/[^/]+\.(py|so)",
    # Tests, headers and stubs are two thirds of its files; f2py and distutils compile.
    "numpy": r"numpy\.libs/.+|numpy/(?!f2py/|distutils/|(.*/)?tests/|(.*/)?include/).+\.(py|so)",
}
_WANTED_BYTES = 120_000_000


def runtime_wheel(runtime: str, python: str, arch: str) -> PinnedWheel:
    """The wheel of a runtime.

    Args:
        runtime: One of ``PYTHON_RUNTIMES``.
        python: As in ``3.11``.
        arch: ``aarch64`` or ``x86_64``.

    Raises:
        UnknownNameError: There is none for this Python or architecture.
    """
    about = _known(runtime)
    found = find_pinned(about.project, python, arch, versions=(about.version,))
    if found is not None:
        return found
    if arch not in ARCHITECTURES:
        raise UnknownNameError("architecture", arch, ARCHITECTURES)
    pythons = pinned_pythons(about.project, about.version, arch)
    raise UnknownNameError(
        "Python",
        python,
        pythons,
        hint=f"{about.project} {about.version} is made for Python {', '.join(pythons)} on {arch}.",
    )


def numpy_wheel(runtime: str, python: str, arch: str) -> PinnedWheel:
    """The numpy that goes with a runtime, for a Python that there is a wheel of it for.

    Raises:
        UnknownNameError: There is none.
    """
    wheel = runtime_wheel(runtime, python, arch)
    versions = PYTHON_RUNTIMES[runtime].numpy
    found = find_pinned("numpy", wheel.python, arch, versions=versions)
    if found is None:
        raise UnknownNameError("numpy for Python", python, ())
    return found


def find_package(wheel: PinnedWheel, runtime: str) -> Path:
    """Folder with the files of a wheel that boards need, without any download.

    Args:
        wheel: Which.
        runtime: What it is wanted for.

    Raises:
        OfflineError: It must be fetched first.
    """
    folder = cache_dir() / "runtimes" / wheel.folder
    if not folder.is_dir():
        raise OfflineError(
            f"{wheel.project} {wheel.version} for Python {wheel.python} on {wheel.arch} is not on "
            "this computer yet.",
            hint=f"Run: {_again(wheel, runtime)}",
        )
    return folder


def fetch_package(wheel: PinnedWheel, runtime: str, *, progress: Progress = silent) -> Path:
    """Download a wheel, unless it is here, and unpack what boards need of it.

    Args:
        wheel: Which.
        runtime: What it is wanted for.
        progress: Is told what is being done.

    Raises:
        OfflineError: pip could not get it, or what came has another sha256.
        DiskSpaceError: There is not enough room.
    """
    step = f"fetch {wheel.project} {wheel.version} for Python {wheel.python} on {wheel.arch}"
    folder = cache_dir() / "runtimes" / wheel.folder
    if folder.is_dir():
        progress(Step(step, finished=True, note="already there"))
        return folder

    def make(made: Path) -> None:
        require_space(made, _WANTED_BYTES, wheel.project)
        progress(Step(step, note="downloading with pip"))
        again = _again(wheel, runtime)
        file = download_wheel(wheel, made.with_name("wheel"), again=again)
        progress(Step(step, note="unpacking"))
        _unpack(file, wheel.project, made)

    make_once(folder, make, wheel.project)
    progress(Step(step, finished=True))
    return folder


def package_files(folder: Path) -> Mapping[str, Path]:
    """Every file of a package by its path in it, in order."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def _known(runtime: str) -> PythonRuntime:
    if runtime not in PYTHON_RUNTIMES:
        raise UnknownNameError("runtime", runtime, PYTHON_RUNTIMES)
    return PYTHON_RUNTIMES[runtime]


def _again(wheel: PinnedWheel, runtime: str) -> str:
    wanted = f"--runtime {runtime} --python {wheel.python} --arch {wheel.arch}"
    return f"slmdeploy fetch runtime {wanted}"


def _unpack(file: Path, project: str, made: Path) -> None:
    wanted = re.compile(f"({_WANTED[project]})|{_LICENCES}")
    taken = unpack(file, lambda name: wanted.fullmatch(name) is not None, made)
    if not any(name.endswith(".so") for name in taken):
        raise OfflineError(
            f"{file.name} does not hold {project}'s libraries.",
            hint="The index may serve another file. Check 'pip config list' and try again.",
        )
