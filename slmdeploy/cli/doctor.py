"""``slmdeploy doctor``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from slmdeploy.cli.console import Console, table_text
from slmdeploy.cli.options import (
    common,
    complete_target,
    device_option,
    existing_folder,
    targets_dir_option,
)
from slmdeploy.cli.outcome import finish
from slmdeploy.errors import DeviceError, HostError, UsageError

if TYPE_CHECKING:
    from slmdeploy.device.doctor.examine import Diagnosis
    from slmdeploy.device.doctor.host_checks import Check, Status
    from slmdeploy.pipeline import Attempt

__all__ = ["command"]

_COLOURS: Final[Mapping[Status, str]] = {
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "unknown": "cyan",
}
_ALIKE: Final = 3
"""More unknown checks in a row with one reason are gathered in one line."""


@click.command("doctor")
@device_option()
@click.option(
    "--target",
    metavar="T",
    shell_complete=complete_target,
    help="Hold the devices against a target.",
)
@click.option(
    "--bundle",
    type=existing_folder,
    help="Hold the devices against a bundle: its target, runtime, sizes and memory.",
)
@click.option(
    "--runtime",
    metavar="R",
    help="Hold the devices against executorch, litert or tflite-runtime alone.",
)
@targets_dir_option
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Of this computer: where bundles will go; by default ./bundles.",
)
@common
def command(
    *,
    console: Console,
    devices: tuple[str, ...],
    target: str | None,
    bundle: Path | None,
    runtime: str | None,
    targets_dirs: tuple[Path, ...],
    output: Path | None,
) -> int:
    """Check this computer, or with --device whether a bundle will run there.

    A device is looked at before anything is sent to it: will this run there, and will its
    figures mean anything. Nothing is changed. Below what needs it stands what mends it.

    Ends with 6 when a check of this computer failed, with 4 when one of a device did.
    """
    named = target is not None or bundle is not None
    if named and runtime is not None:
        raise UsageError("A target or a bundle names its own runtime; leave --runtime out.")
    if devices:
        from slmdeploy import pipeline

        found = pipeline.doctor(
            devices, target=target, bundle=bundle, runtime=runtime, targets_dirs=targets_dirs
        )
        return _show_devices(console, found)
    if named or runtime is not None:
        raise UsageError(
            "A target, a bundle or a runtime is held against a device, and none was named.",
            hint="Add --device; see: slmdeploy devices list",
        )
    return _check_host(console, output)


def _check_host(console: Console, output: Path | None) -> int:
    from slmdeploy.device.doctor.host import check_host, has_failed

    checks = check_host(output)
    failed = has_failed(checks)
    document = {"subject": "host", "ok": not failed, "checks": checks}
    console.show("slmdeploy/doctor/1", document, lambda: _text(checks))
    return HostError.exit_code if failed else 0


def _show_devices(console: Console, found: Sequence[Attempt[Diagnosis]]) -> int:
    failed = any(one.value is None or not one.value.ok for one in found)
    return finish(
        console,
        "slmdeploy/doctor-device/1",
        found,
        lambda subject, diagnosis: _block(subject, diagnosis, last=subject == found[-1].subject),
        also=lambda diagnosis: 0 if diagnosis.ok else DeviceError.exit_code,
        more={"subject": "device", "ok": not failed},
    )


def _block(name: str, diagnosis: Diagnosis, *, last: bool) -> str:
    """A device's table below a line that sums it up."""
    counts = Counter(check.status for check in diagnosis.checks)
    summary = ", ".join(f"{counts[status]} {status}" for status in _COLOURS if counts[status])
    text = f"{name} against {diagnosis.against}: {summary}\n{_text(diagnosis.checks)}"
    return text if last else f"{text}\n"


def _text(checks: Sequence[Check]) -> str:
    shown = list(_gathered(checks))
    rows = [(check.status, check.name, check.value) for check in shown]
    lines = table_text(["status", "check", "found"], rows).splitlines()
    with_fixes = [lines[0]]
    for line, check in zip(lines[1:], shown, strict=True):
        # Colours are added to the finished table; off a terminal click takes them out.
        coloured = click.style(check.status, fg=_COLOURS[check.status])
        with_fixes.append(coloured + line.removeprefix(check.status))
        with_fixes += [f"         {check.fix}"] if check.fix else []
    return "\n".join(with_fixes)


def _gathered(checks: Sequence[Check]) -> Iterator[Check]:
    """The same, but one line for many that are unknown for one reason (a board is away)."""
    for (status, value), group in groupby(checks, key=lambda check: (check.status, check.value)):
        some = list(group)
        if status == "unknown" and len(some) > _ALIKE:
            name = f"{some[0].name} and {len(some) - 1} more"
            some = [replace(some[0], name=name, value=value)]
        yield from some
