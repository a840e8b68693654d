"""``slmdeploy export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, bytes_text, estimate_text, table_text
from slmdeploy.cli.delegates import share_text
from slmdeploy.cli.options import (
    common,
    dry_run_option,
    export_options,
    fetch_option,
    model_argument,
    request_options,
    target_option,
    targets_dir_option,
)
from slmdeploy.cli.outcome import finish
from slmdeploy.cli.parity import parity_document, parity_text

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import Manifest
    from slmdeploy.model.request import ModelRequest
    from slmdeploy.pipeline import Exported

__all__ = ["command"]


@click.command("export")
@model_argument
@request_options
@target_option
@export_options
@fetch_option
@targets_dir_option
@dry_run_option
@common
def command(
    *,
    console: Console,
    request: ModelRequest,
    targets: tuple[str, ...],
    recipe: str | None,
    context: int | None,
    output: Path | None,
    no_verify: bool,
    fetch: bool,
    targets_dirs: tuple[Path, ...],
    dry_run: bool,
) -> int:
    """Compress and export MODEL for each target: one bundle a target.

    The parity ladder is climbed as far as the host can; a bundle is written only when
    no rung broke.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        attempts = pipeline.export(
            request,
            targets,
            recipe=recipe,
            context=context,
            output=output,
            verify=not no_verify,
            fetch=fetch,
            targets_dirs=targets_dirs,
            dry_run=dry_run,
            progress=progress,
        )
    return finish(
        console,
        "slmdeploy/export/1",
        attempts,
        _text,
        subject="target",
        more={"model": request.text, "dry_run": dry_run, "parity": parity_document(attempts)},
        end=parity_text(attempts),
    )


def _text(target: str, made: Exported) -> str:
    if made.manifest is None:
        return f"{target}: would write {made.bundle} with recipe {made.recipe}"
    peak = bytes_text(made.peak_rss_bytes)
    took = "-" if made.wall_ns is None else f"{made.wall_ns / 1e9:.1f} s"
    kept = f", kept from before: {', '.join(made.reused)}" if made.reused else ""
    head = f"{target}: {made.bundle} ({made.recipe}, {took}, peak memory {peak}{kept})"
    return "\n".join([head, _sizes(made.manifest)])


def _sizes(manifest: Manifest) -> str:
    artifact = manifest.artifact
    rows = [(row.component, row.bytes) for row in artifact.bytes_by_component]
    shares = [
        f"  {name}: {share_text(method, name, manifest.delegation)}"
        for name, method in artifact.methods.items()
    ]
    sizes = [
        f"  {name} takes {one.name} {one.dtype} {one.shape_text}"
        for name, method in artifact.methods.items()
        for one in method.inputs
        if one.varying
    ]
    peak = estimate_text(manifest.memory.predicted_peak, manifest.memory.reason)
    return "\n".join(
        [
            table_text(["component", "bytes"], [*rows, ("artifact", artifact.bytes)]),
            *shares,
            *sizes,
            f"  predicted peak on the device: {peak}",
        ]
    )
