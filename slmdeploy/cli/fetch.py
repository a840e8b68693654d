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
    help='With "runtime": for which boards; by default aarch64.',
)
@click.option(
    "--runtime",
    "which",
    type=click.Choice(["executorch", "litert", "tflite-runtime"]),
    help='With "runtime": which; by default executorch.',
)
@click.option("--python", metavar="3.N", help="Version of the board's Python; for the latter two.")
@click.option(
    "--unpinned", is_flag=True, help="Also take an executorch whose sha256 is not known here."
)
@dry_run_option
@common
def command(
    *,
    console: Console,
    model: str,
    arch: str | None,
    which: str | None,
    python: str | None,
    unpinned: bool,
    dry_run: bool,
) -> None:
    """Download MODEL: "demo" or an id of the Hugging Face hub; or the "runtime" of boards.

    "runtime" is what "devices provision" brings to boards: ExecuTorch's own libraries,
    which a runner is linked with, or a package for the board's own Python with the numpy
    that it needs.

    Nothing else of slmdeploy uses the network, unless --fetch is given.
    """
    from slmdeploy import pipeline

    _refuse_misplaced(model, which, python, arch=arch, unpinned=unpinned)
    with console.progress() as progress:
        got = pipeline.fetch(
            model,
            arch=arch,
            runtime=which,
            python=python,
            unpinned=unpinned,
            dry_run=dry_run,
            progress=progress,
        )
    state = "is here already" if got.already_there else "would go" if dry_run else "is here now"
    words = [f"{got.name} {state}: {got.path} ({bytes_text(got.bytes)})", got.note]
    words += [got.license and f"License: {got.license}"]
    console.show("slmdeploy/fetch/1", plain(got), lambda: "\n".join(w for w in words if w))


def _refuse_misplaced(
    model: str, which: str | None, python: str | None, *, arch: str | None, unpinned: bool
) -> None:
    given = {"--arch": arch, "--runtime": which, "--python": python, "--unpinned": unpinned}
    misplaced = [name for name, value in given.items() if value]
    if misplaced and model != RUNTIME:
        raise click.UsageError(f"{misplaced[0]} goes with {RUNTIME!r} alone.")
    if model == RUNTIME and (which in {None, "executorch"}) != (python is None):
        raise click.UsageError(
            f"--runtime {which} needs --python, the version of the board's Python (3.11)."
            if python is None
            else "--python goes with --runtime litert or tflite-runtime alone."
        )
