"""``slmdeploy fetch``."""

from __future__ import annotations

import click

from slmdeploy.cli.console import Console, bytes_text, plain
from slmdeploy.cli.options import common, dry_run_option, model_argument

__all__ = ["command"]


@click.command("fetch")
@model_argument
@dry_run_option
@common
def command(*, console: Console, model: str, dry_run: bool) -> None:
    """Download MODEL: "demo" or an id of the Hugging Face hub.

    Nothing else of slmdeploy uses the network, unless --fetch is given.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        got = pipeline.fetch(model, dry_run=dry_run, progress=progress)
    state = "is here already" if got.already_there else "would go" if dry_run else "is here now"
    words = [f"{got.name} {state}: {got.path} ({bytes_text(got.bytes)})", got.note]
    words += [got.license and f"License: {got.license}"]
    console.show("slmdeploy/fetch/1", plain(got), lambda: "\n".join(w for w in words if w))
