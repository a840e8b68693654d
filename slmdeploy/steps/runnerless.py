"""Where nothing of ours runs an artifact: refused before minutes are spent, with the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from slmdeploy.bundle.folder import Bundle
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError, UsageError
from slmdeploy.target.load import load_target

__all__ = ["no_runner_reason", "refuse_android", "refuse_apps", "refuse_without_runner"]

ANDROID = "there is no runner for Android's C library yet"
CORE_ML = "Core ML runs in an app, on Apple's systems alone"


def no_runner_reason(bundle: Bundle, device: Device) -> str | None:
    """Why nothing of ours runs a bundle on a device; ``None`` where something does.

    The device decides (whatever is reached by adb is Android), then the bundle: its target's
    profile may say ``runner = "none"``. This computer runs every ExecuTorch artifact, to verify
    it; what Core ML runs, by itself or as a delegate, nothing of ours runs anywhere.
    """
    if bundle.manifest.artifact.core_ml:
        return CORE_ML
    if device.transport == "adb":
        return ANDROID
    manifest = bundle.manifest
    if device.transport != LOCAL.transport and manifest.runner == "none":
        return f"target {manifest.target!r} says runner = 'none'"
    return None


def refuse_android(devices: Iterable[Device]) -> None:
    """Refuse a whole run, export and all, that would end on a device without a runner.

    Raises:
        DeviceError: One of them is reached by adb.
    """
    for device in devices:
        if device.transport == "adb":
            raise DeviceError(
                f"Nothing can be run on {device.name}: {ANDROID}.",
                hint="Use slmdeploy export and slmdeploy push, and bring in what the runtime's own "
                "tools measure: slmdeploy runs import FILE (docs/android.md)",
            )


def refuse_apps(targets: Iterable[str], dirs: Sequence[Path] = ()) -> None:
    """Refuse a whole run, export and all, of a target whose artifacts only an app can run.

    Args:
        targets: Names or files; those that cannot be read are told of when they are used.
        dirs: Further folders of profiles.

    Raises:
        DeviceError: One of them has Core ML.
    """
    for target in targets:
        with suppress(UsageError):
            if not load_target(target, dirs).core_ml:
                continue
            raise DeviceError(
                f"Nothing of ours measures target {target!r}: {CORE_ML}.",
                hint=f"Use slmdeploy export --target {target}, and bring in what the app or Xcode "
                f"measured: slmdeploy runs import FILE --target {target} (docs/device-report.md)",
            )


def refuse_without_runner(bundle: Bundle, device: Device) -> None:
    """Refuse to run a bundle where nothing of ours can.

    Raises:
        DeviceError: No runner; the hint names ``slmdeploy runs import``.
    """
    reason = no_runner_reason(bundle, device)
    if reason is None:
        return
    folder, name = bundle.path, device.name
    if reason == CORE_ML:
        raise DeviceError(
            f"{bundle.manifest.name} cannot be run on {name}: {reason}.",
            hint=f"Build it into an app ({folder}/README.md), and bring in what that or Xcode "
            f"measured: slmdeploy runs import FILE --bundle {folder} --device NAME "
            "(docs/device-report.md)",
        )
    raise DeviceError(
        f"{bundle.manifest.name} cannot be run on {name}: {reason}.",
        hint=f"Push it there (slmdeploy push {folder} --device {name}), measure it with the "
        "runtime's own tool, and bring in what that says: slmdeploy runs import FILE --bundle "
        f"{folder} --device {name} (docs/android.md)",
    )
