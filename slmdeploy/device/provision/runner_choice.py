"""The native runner for a device: which architecture, linked for which C library."""

from __future__ import annotations

import platform
from typing import Final

from slmdeploy.device.facts import ARCHITECTURE, GLIBC, read_fact
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError
from slmdeploy.progress import Progress
from slmdeploy.runtime.build import Kernels, runner_files
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Transport

__all__ = ["NEW_GLIBC", "OLD_GLIBC", "device_arch", "runner_for"]

NEW_GLIBC: Final = (2, 34)
"""From here on a plain link by this computer's compiler starts on the device."""
OLD_GLIBC: Final = "2.31"

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def runner_for(
    device: Device, transport: Transport, kernels: Kernels, progress: Progress
) -> RunnerFiles:
    """The runner for a device, compiled if need be.

    Args:
        device: Whose.
        transport: The way to it.
        kernels: ``llm`` adds the library of ``llama::`` operators.
        progress: Is told what is being compiled.

    Raises:
        DeviceError: The device has an architecture that no runner is made for.
        HostError: This computer cannot make the runner.
    """
    if device.transport == "adb":
        raise DeviceError(
            f"There is no runner for Android's C library yet, so none for {device.name}.",
            hint="Bring in what the runtime's own tools say: slmdeploy runs import FILE",
        )
    if device.transport == "local":
        return runner_files("host", kernels=kernels, progress=progress)
    arch = device_arch(device, transport)
    return runner_files(arch, kernels=kernels, glibc=_link_for(transport, arch), progress=progress)


def device_arch(device: Device, transport: Transport) -> str:
    """A device's architecture, by our names.

    Raises:
        DeviceError: No runner is made for it.
    """
    machine = read_fact(transport, ARCHITECTURE)
    arch = _ARCHITECTURES.get(machine.value or "")
    if arch is None:
        raise DeviceError(
            f"Device {device.name!r} says it is {machine.value or machine.reason!r}; there is a "
            f"runner for {' and '.join(sorted(set(_ARCHITECTURES.values())))} alone."
        )
    return arch


def _link_for(transport: Transport, arch: str) -> str | None:
    """The C library to link for; ``None`` where this computer's own will do."""
    if arch == platform.machine():
        return None
    found = read_fact(transport, GLIBC).value
    return None if found is not None and found >= NEW_GLIBC else OLD_GLIBC
