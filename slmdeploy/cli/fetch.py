"""``slmdeploy fetch``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console, bytes_text, plain
from slmdeploy.cli.options import common, dry_run_option, model_argument

__all__ = ["command"]

RUNTIME = "runtime"


@click.command("fetch")
@model_argument
@click.option(
    "--arch",
    type=click.Choice(["aarch64", "x86_64"]),
    help='With "runtime": whose libraries; by default aarch64.',
)
@dry_run_option
@common
def command(*, console: Console, model: str, arch: str | None, dry_run: bool) -> None:
    """Download MODEL: "demo" or an id of the Hugging Face hub; or the "runtime" of boards.

    "runtime" is ExecuTorch's own libraries for an architecture, which a runner for such
    boards is linked with.

    Nothing else of slmdeploy uses the network, unless --fetch is given.
    """
    from slmdeploy import pipeline

    if arch is not None and model != RUNTIME:
        raise click.UsageError(f"--arch goes with {RUNTIME!r} alone.")
    with console.progress() as progress:
        got = pipeline.fetch(model, arch=arch, dry_run=dry_run, progress=progress)
    state = "is here already" if got.already_there else "would go" if dry_run else "is here now"
    words = [f"{got.name} {state}: {got.path} ({bytes_text(got.bytes)})", got.note]
    words += [got.license and f"License: {got.license}"]
    console.show("slmdeploy/fetch/1", plain(got), lambda: "\n".join(w for w in words if w))
