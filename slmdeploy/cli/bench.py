"""``slmdeploy bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.measured import finish_measured
from slmdeploy.cli.options import (
    bundle_argument,
    common,
    device_option,
    dry_run_option,
    settings_options,
    store_option,
    workload_options,
)

if TYPE_CHECKING:
    from slmdeploy.device.runs.settings_plan import Use

__all__ = ["command"]


@click.command("bench")
@bundle_argument
@device_option(default="local")
@workload_options
@settings_options
@store_option
@dry_run_option
@common
def command(
    *,
    console: Console,
    bundle: Path,
    devices: tuple[str, ...],
    prompt: int | None,
    generate: int | None,
    runs: int | None,
    threads: int | None,
    use: Use,
    store: str | None,
    dry_run: bool,
) -> int:
    """Measure BUNDLE on each device and keep every sample.

    One process warms up, then each run is a process of its own over fixed tokens; the end
    of the text is ignored. A failed run is kept with its reason.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        attempts = pipeline.bench(
            bundle,
            devices=devices,
            prompt=prompt,
            generate=generate,
            runs=runs,
            threads=threads,
            use=use,
            store=store,
            dry_run=dry_run,
            progress=progress,
        )
    more = {"bundle": str(bundle), "dry_run": dry_run}
    return finish_measured(console, "slmdeploy/bench/1", attempts, store=store, more=more)
