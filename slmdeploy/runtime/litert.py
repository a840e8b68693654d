"""Drives the runner of LiteRT and tflite-runtime on a device, for one deployed ``.tflite``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from slmdeploy.errors import MissingExtraError
from slmdeploy.runtime.driver import ProcessRunner
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.wheel import host_arch
from slmdeploy.runtime.wheel_packages import find_package, numpy_wheel, runtime_wheel

__all__ = ["LAUNCHER", "NAME", "LitertRunner", "host_runner", "runner_files"]

NAME: Final = "litert-runner"
LAUNCHER: Final = "slmd-litert.py"

_PACKAGE = Path(__file__).parent.parent
_PARTS = ("__init__.py", "runtime/__init__.py", "runtime/litert_board/*.py")
"""What is on the board of our own package: this, and nothing that it imports besides."""


class LitertRunner(ProcessRunner):
    """One process of the Python runner per call; nothing is left there afterwards."""


def runner_files(runtime: str, python: str, env: Mapping[str, str]) -> RunnerFiles:
    """The runner, to be started by a Python that finds the runtime.

    Args:
        runtime: ``litert`` or ``tflite-runtime``; the other one is not taken in its place.
        python: The interpreter on the device.
        env: With a ``PYTHONPATH`` that leads to the runtime, where it is not installed.
    """
    own = [path for part in _PARTS for path in sorted(_PACKAGE.glob(part))]
    files = {f"slmdeploy/{path.relative_to(_PACKAGE).as_posix()}": path for path in own}
    files[LAUNCHER] = _PACKAGE / "runtime/litert_board/__main__.py"
    flags = ("--runtime", runtime)
    return RunnerFiles(files, LAUNCHER, name=NAME, python=python, env=env, flags=flags)


def host_runner(runtime: str) -> RunnerFiles:
    """The runner for this computer.

    LiteRT is taken from this installation. ``tflite-runtime`` does not go with its numpy, so
    that is taken from the wheels that were fetched for boards.

    Raises:
        OfflineError: tflite-runtime must be fetched first.
        UnknownNameError: There is no tflite-runtime for this Python.
        MissingExtraError: LiteRT is not installed.
    """
    if runtime == "litert":
        _require_litert()
        return runner_files(runtime, sys.executable, {})
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    arch = host_arch()
    wheels = (runtime_wheel(runtime, version, arch), numpy_wheel(runtime, version, arch))
    folders = [str(find_package(wheel, runtime)) for wheel in wheels]
    return runner_files(runtime, sys.executable, {"PYTHONPATH": ":".join(folders)})


def _require_litert() -> None:
    from importlib.util import find_spec

    if find_spec("ai_edge_litert") is None:
        raise MissingExtraError("litert", "Running a LiteRT model on this computer")
