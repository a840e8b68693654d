"""``slmdeploy run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.measured import finish_measured
from slmdeploy.cli.options import (
    common,
    device_option,
    dry_run_option,
    export_options,
    fetch_option,
    model_argument,
    request_options,
    settings_options,
    store_option,
    target_option,
    targets_dir_option,
    workload_options,
)

if TYPE_CHECKING:
    from slmdeploy.device.runs.settings_plan import Use
    from slmdeploy.model.request import ModelRequest

__all__ = ["command"]


@click.command("run")
@model_argument
@request_options
@target_option
@device_option(default="local")
@export_options
@fetch_option
@targets_dir_option
@workload_options
@settings_options
@store_option
@dry_run_option
@common
def command(
    *,
    console: Console,
    request: ModelRequest,
    targets: tuple[str, ...],
    devices: tuple[str, ...],
    recipe: str | None,
    context: int | None,
    output: Path | None,
    no_verify: bool,
    fetch: bool,
    targets_dirs: tuple[Path, ...],
    prompt: int | None,
    generate: int | None,
    runs: int | None,
    threads: int | None,
    use: Use,
    store: str | None,
    dry_run: bool,
) -> int:
    """Take MODEL all the way: export, verify, push and measure.

    Each target is measured on every device that was named; the records are kept as those
    of "slmdeploy bench" are.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        attempts = pipeline.run(
            request,
            targets,
            devices=devices,
            recipe=recipe,
            context=context,
            output=output,
            verify=not no_verify,
            fetch=fetch,
            targets_dirs=targets_dirs,
            prompt=prompt,
            generate=generate,
            runs=runs,
            threads=threads,
            use=use,
            store=store,
            dry_run=dry_run,
            progress=progress,
        )
    return finish_measured(
        console, "slmdeploy/run/1", attempts, store=store, more={"model": request.text}
    )
