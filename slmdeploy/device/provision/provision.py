"""Provision: bring a runtime to a device, try it there, and note that it is ready.

A runtime that does not work there is taken off again: the device is as it was before.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.device.provision.runtime_choice import PythonChoice
from slmdeploy.device.provision.runtime_removal import remove_folders
from slmdeploy.device.provision.runtimes import NUMPY, RECORD, InstalledRuntime, record_text
from slmdeploy.device.provision.smoke_test import run_native, run_python
from slmdeploy.device.push.plan import Folder, runner_folder, runtime_folder
from slmdeploy.device.push.sending import Sent, send
from slmdeploy.device.script import script
from slmdeploy.errors import ConnectError, DeviceError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.wheel_packages import PYTHON_RUNTIMES, package_files
from slmdeploy.transport.base import Progress, Transport

__all__ = ["Plan", "bring", "plan_native", "plan_python"]

_EXISTING = r"""
# $1: our folder; stdin: places below it. Says: those that are there.
while read -r place; do [ ! -d "$1/$place" ] || echo "$place"; done
"""


@dataclass(frozen=True)
class Plan:
    """What is to be brought, and how it is tried.

    Attributes:
        name: Of the runtime.
        folders: Its own first.
        try_it: Takes the folders' absolute paths on the device, and gives what is noted of
            the runtime there; raises if it does not work.
    """

    name: str
    folders: tuple[Folder, ...]
    try_it: Callable[[Transport, Sequence[str]], InstalledRuntime]


def plan_native(files: RunnerFiles) -> Plan:
    """ExecuTorch's runner and libraries, as a push of a bundle brings them too.

    Raises:
        HostError: A file cannot be read.
    """

    def try_it(transport: Transport, places: Sequence[str]) -> InstalledRuntime:
        version = run_native(transport, places[0], files)
        return InstalledRuntime("executorch", version, places[0])

    return Plan("executorch", (runner_folder(files),), try_it)


def plan_python(runtime: str, choice: PythonChoice, packages: Mapping[str, Path]) -> Plan:
    """A runtime for the board's own Python, and numpy where the board's does not fit.

    Args:
        runtime: ``litert`` or ``tflite-runtime``.
        choice: What the board needs.
        packages: Folder of the unpacked wheel on this computer, by name of the project.

    Raises:
        HostError: A file cannot be read.
    """
    folders = [runtime_folder(runtime, package_files(packages[choice.wheel.project]))]
    if choice.numpy is not None:
        folders.append(runtime_folder(NUMPY, package_files(packages[choice.numpy.project])))
    module, python = PYTHON_RUNTIMES[runtime].module, choice.python.path

    def try_it(transport: Transport, places: Sequence[str]) -> InstalledRuntime:
        said = run_python(transport, python, places, module)
        return InstalledRuntime(
            name=runtime,
            version=str(said.get("version") or choice.wheel.version),
            folder=places[0],
            python=python,
            python_version=str(said.get("python") or choice.python.version),
            python_path=tuple(places),
            numpy=str(said["numpy"]) if said.get("numpy") else None,
            numpy_brought=choice.numpy is not None,
        )

    return Plan(runtime, tuple(folders), try_it)


def bring(
    plan: Plan, transport: Transport, *, progress: Progress | None = None, dry_run: bool = False
) -> tuple[Sent, InstalledRuntime | None]:
    """Send what is missing, try the runtime, and note it; or with ``dry_run`` only look.

    Raises:
        TransferError: No room on the device, or a file did not arrive whole.
        RunnerError: The runtime does not work there; what was brought is gone again.
        ConnectError: The device went away.
    """
    before = _existing(transport, plan.folders)
    sent = send(plan.folders, transport, progress=progress, dry_run=dry_run)
    if dry_run:
        return sent, None
    try:
        runtime = plan.try_it(transport, sent.places)
        _note(transport, runtime)
    except ConnectError:
        raise  # nothing can be cleaned now
    except BaseException:
        fresh = [folder.place for folder in plan.folders if folder.place not in before]
        with contextlib.suppress(DeviceError):
            remove_folders(transport, fresh)
        raise
    return sent, runtime


def _existing(transport: Transport, folders: Iterable[Folder]) -> frozenset[str]:
    rows = "".join(f"{folder.place}\n" for folder in folders).encode()
    argv = script(_EXISTING, transport.home())
    return frozenset(transport.check(argv, stdin=rows, timeout=30.0).stdout.splitlines())


def _note(transport: Transport, runtime: InstalledRuntime) -> None:
    with tempfile.TemporaryDirectory(prefix="slmdeploy-") as folder:
        record = Path(folder) / RECORD
        record.write_text(record_text(runtime, transport.home()), encoding="utf-8")
        transport.put(record, f"{transport.home()}/runtimes/{runtime.name}/{RECORD}")
