"""``slmdeploy verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.options import bundle_argument, common, device_option, steal_option
from slmdeploy.cli.outcome import finish
from slmdeploy.cli.rungs import rungs_text
from slmdeploy.errors import DeviceParityError, ParityError

if TYPE_CHECKING:
    from slmdeploy.pipeline import Verified

__all__ = ["command"]


@click.command("verify")
@bundle_argument
@device_option()
@steal_option
@common
def command(console: Console, bundle: Path, devices: tuple[str, ...], *, steal: bool) -> int:
    """Climb the parity ladder of BUNDLE, to the host and on to each device.

    Every rung is held against the one before it; the first that breaks is named and ends
    the climb. Without --device the ladder ends on this computer.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        attempts = pipeline.verify(bundle, devices=devices, steal=steal, progress=progress)
    return finish(
        console,
        "slmdeploy/verify/1",
        attempts,
        _text,
        also=_code,
        more={"bundle": str(bundle)},
    )


def _text(device: str, ladder: Verified) -> str:
    verdict = "every rung holds" if ladder.broken is None else f"broken at rung {ladder.broken!r}"
    return f"{rungs_text(ladder.rungs)}\n{device}: {verdict}"


def _code(ladder: Verified) -> int:
    if ladder.broken is None:
        return 0
    return DeviceParityError.exit_code if ladder.broken_on_device else ParityError.exit_code
