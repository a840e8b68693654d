"""The runner of LiteRT for a device: which Python starts it, and where that finds the runtime."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.device.provision.board_ability import read_ability
from slmdeploy.device.provision.provision import bring, plan_python
from slmdeploy.device.provision.runtime_choice import choose_python
from slmdeploy.device.provision.runtimes import InstalledRuntime, list_runtimes
from slmdeploy.device.types import Device
from slmdeploy.errors import RunnerError
from slmdeploy.progress import Progress, bytes_of
from slmdeploy.runtime.litert import host_runner, runner_files
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.wheel_packages import find_package
from slmdeploy.transport.base import Transport

__all__ = ["python_runner"]


def python_runner(
    device: Device, transport: Transport, runtime: str, *, dry_run: bool, progress: Progress
) -> RunnerFiles:
    """The runner for a device, which is given the runtime if it does not have it.

    Args:
        device: Whose.
        transport: The way to it.
        runtime: ``litert`` or ``tflite-runtime``.
        dry_run: Bring nothing.
        progress: Is told what is brought.

    Raises:
        DeviceError: The device cannot run the runtime.
        OfflineError: The runtime must be fetched first.
    """
    if device.transport == "local":
        return host_runner(runtime)
    ready = {one.name: one for one in list_runtimes(transport)}
    found = ready.get(runtime)
    if found is None and dry_run:
        return runner_files(runtime, "python3", {})
    if found is None:
        found = _brought(device, transport, runtime, progress)
    return runner_files(runtime, found.python or "python3", found.env)


def _brought(
    device: Device, transport: Transport, runtime: str, progress: Progress
) -> InstalledRuntime:
    """Provision the device, from what is on this computer."""
    choice = choose_python(runtime, read_ability(transport, python=True), device.name)
    wheels = [choice.wheel, *([choice.numpy] if choice.numpy else [])]
    packages: dict[str, Path] = {wheel.project: find_package(wheel, runtime) for wheel in wheels}
    told = bytes_of(progress, f"provision {device.name} with {runtime}")
    _, installed = bring(plan_python(runtime, choice, packages), transport, progress=told)
    if installed is None:
        raise RunnerError(f"{runtime} did not come to {device.name}.", cause="runner_missing")
    return installed
