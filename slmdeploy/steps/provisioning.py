"""Make a runtime ready on a device, or take it off; what is needed is on this computer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.device.connect import connect
from slmdeploy.device.provision.board_ability import read_ability
from slmdeploy.device.provision.provision import Plan, bring, plan_native, plan_python
from slmdeploy.device.provision.runner_choice import runner_for
from slmdeploy.device.provision.runtime_choice import choose_python, refuse, why_not
from slmdeploy.device.provision.runtime_removal import remove_runtime, users_of
from slmdeploy.device.provision.runtimes import InstalledRuntime
from slmdeploy.device.types import Device
from slmdeploy.errors import MissingExtraError, OfflineError
from slmdeploy.progress import Progress, Step, bytes_of
from slmdeploy.runtime.wheel import fetch_wheel, find_wheel
from slmdeploy.runtime.wheel_packages import fetch_package, find_package
from slmdeploy.transport.base import Transport

__all__ = ["Provisioned", "Unprovisioned", "provision_device", "unprovision_device"]


@dataclass(frozen=True)
class Provisioned:
    """A runtime on a device, or with ``dry_run`` what would be brought.

    Attributes:
        device: Name of the device.
        runtime: Name of the runtime.
        brought: What is sent, as ``numpy 2.2.6``; there already or not.
        installed: What was tried and noted there; ``None`` of a dry run.
        sent_bytes: Content that the device lacked; ``None`` where ``to_fetch`` is needed
            to know.
        skipped_bytes: Content that it had.
        to_fetch: What a dry run would download first.
    """

    device: str
    runtime: str
    brought: tuple[str, ...]
    installed: InstalledRuntime | None
    sent_bytes: int | None
    skipped_bytes: int | None
    to_fetch: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class Unprovisioned:
    """What of a runtime was taken off a device, or with ``dry_run`` would be.

    Attributes:
        places: Folders, below the one that slmdeploy owns there.
        bytes: Room that this makes.
        used_by: Versions of bundles that need the runtime, as ``NAME@DIGEST``.
    """

    device: str
    runtime: str
    places: tuple[str, ...]
    bytes: int
    used_by: tuple[str, ...]
    dry_run: bool = False


def provision_device(
    device: Device, runtime: str, *, fetch: bool, dry_run: bool, progress: Progress
) -> Provisioned:
    """Bring a runtime to a device and try it there.

    Raises:
        DeviceError: The device cannot run it, is away or has no room, or the runtime does
            not work there.
        OfflineError: It must be fetched first, and ``fetch`` was not given.
        HostError: This computer cannot make the runner.
    """
    with closing(connect(device)) as transport:
        make = _native if runtime == "executorch" else _python
        brought, to_fetch, plan = make(
            device, runtime, transport, fetch=fetch, dry_run=dry_run, progress=progress
        )
        if plan is None:
            return Provisioned(
                device.name, runtime, brought, None, None, None, to_fetch, dry_run=dry_run
            )
        step = f"provision {device.name} with {runtime}"
        sent, installed = bring(plan, transport, progress=bytes_of(progress, step), dry_run=dry_run)
        return Provisioned(
            device=device.name,
            runtime=runtime,
            brought=brought,
            installed=installed,
            sent_bytes=sent.sent_bytes,
            skipped_bytes=sent.skipped_bytes,
            dry_run=dry_run,
        )


def unprovision_device(
    device: Device, runtime: str, *, force: bool, dry_run: bool
) -> Unprovisioned:
    """Take a runtime off a device.

    Raises:
        UsageError: A deployment needs it, and ``force`` was not given; or it runs.
        DeviceError: The device is away, or something could not be removed.
    """
    with closing(connect(device)) as transport:
        users = users_of(transport, runtime)
        gone = remove_runtime(transport, runtime, force=force, dry_run=dry_run)
    places = tuple(path for path, _ in gone.paths if path.startswith("runtimes/"))
    return Unprovisioned(device.name, runtime, places, gone.bytes, users, dry_run=dry_run)


_Made = tuple[tuple[str, ...], tuple[str, ...], Plan | None]
"""What is brought, what a dry run would fetch first, and the plan if nothing is to fetch."""


def _native(
    device: Device,
    runtime: str,
    transport: Transport,
    *,
    fetch: bool,
    dry_run: bool,
    progress: Progress,
) -> _Made:
    board = read_ability(transport, python=False)
    if why_not(runtime, board) is not None:
        # The other runtimes need Python, so that is looked at to name one that fits.
        refuse(runtime, read_ability(transport, python=True), device.name)
    arch = "host" if device.transport == "local" else board.arch
    brought = (f"the runner for {arch}",)
    try:
        find_wheel(arch)
    except (OfflineError, MissingExtraError):
        if not fetch:
            raise
        if dry_run:
            return brought, (f"executorch for {arch}",), None
        fetch_wheel(arch, progress=progress)
    return brought, (), plan_native(runner_for(device, transport, "llm", progress))


def _python(
    device: Device,
    runtime: str,
    transport: Transport,
    *,
    fetch: bool,
    dry_run: bool,
    progress: Progress,
) -> _Made:
    progress(Step(f"look at {device.name}"))
    choice = choose_python(runtime, read_ability(transport, python=True), device.name)
    progress(Step(f"look at {device.name}", finished=True))
    wheels = [choice.wheel, *([choice.numpy] if choice.numpy else [])]
    brought = tuple(f"{wheel.project} {wheel.version}" for wheel in wheels)
    packages: dict[str, Path] = {}
    missing = []
    for wheel in wheels:
        try:
            packages[wheel.project] = find_package(wheel, runtime)
        except OfflineError:
            if not fetch:
                raise
            missing.append(wheel)
    if dry_run and missing:
        return brought, tuple(f"{wheel.project} {wheel.version}" for wheel in missing), None
    for wheel in missing:
        packages[wheel.project] = fetch_package(wheel, runtime, progress=progress)
    return brought, (), plan_python(runtime, choice, packages)
