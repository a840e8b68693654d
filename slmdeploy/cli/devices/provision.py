"""``slmdeploy devices provision``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, bytes_text
from slmdeploy.cli.options import common, dry_run_option
from slmdeploy.cli.outcome import finish

if TYPE_CHECKING:
    from slmdeploy.steps.provisioning import Provisioned, Unprovisioned

__all__ = ["command"]


@click.command("provision")
@click.argument("devices", metavar="DEVICE...", nargs=-1, required=True)
@click.option(
    "--runtime",
    required=True,
    type=click.Choice(["executorch", "litert", "tflite-runtime"]),
    help="What to bring.",
)
@click.option("--remove", is_flag=True, help="Take it off again, all of it.")
@click.option("--force", is_flag=True, help="With --remove: even if a deployment needs it.")
@click.option("--fetch", is_flag=True, help="Download to this computer what is missing here.")
@dry_run_option
@common
def command(
    *,
    console: Console,
    devices: tuple[str, ...],
    runtime: str,
    remove: bool,
    force: bool,
    fetch: bool,
    dry_run: bool,
) -> int:
    """Bring a runtime to each DEVICE (a name, label=value or "all") and try it there.

    The device needs no internet, no pip and no root. What it cannot run is refused before
    anything is downloaded, and the runtime that it can run is named.
    """
    from slmdeploy import pipeline

    if force and not remove:
        raise click.UsageError("--force goes with --remove alone.")
    more = {"runtime": runtime, "dry_run": dry_run}
    if remove:
        removed = pipeline.unprovision(devices, runtime, force=force, dry_run=dry_run)
        return finish(console, "slmdeploy/devices-provision/1", removed, _removed_text, more=more)
    with console.progress() as progress:
        done = pipeline.provision(devices, runtime, fetch=fetch, dry_run=dry_run, progress=progress)
    return finish(console, "slmdeploy/devices-provision/1", done, _text, more=more)


def _text(device: str, done: Provisioned) -> str:
    brought = " and ".join(done.brought)
    if done.to_fetch:
        return f"{device}: would download {' and '.join(done.to_fetch)}, then send {brought}"
    there = bytes_text(done.skipped_bytes)
    sent = f"{bytes_text(done.sent_bytes)}, {there} there already"
    if done.installed is None:
        return f"{device}: would send {brought} ({sent})"
    ready = done.installed
    python = f" in {ready.python} ({ready.python_version})" if ready.python else ""
    origin = "brought" if ready.numpy_brought else "the device's own"
    numpy = f" with numpy {ready.numpy} ({origin})" if ready.numpy else ""
    version = ready.version or "of unknown version"
    return (
        f"{device}: {ready.name} {version}{python}{numpy} ran a tiny model; sent {sent}: "
        f"{ready.folder}"
    )


def _removed_text(device: str, done: Unprovisioned) -> str:
    if not done.places:
        return f"{device}: has no {done.runtime}"
    verb = "would remove" if done.dry_run else "removed"
    users = f" (needed by {', '.join(done.used_by)})" if done.used_by else ""
    return f"{device}: {verb} {', '.join(done.places)} ({bytes_text(done.bytes)}){users}"
