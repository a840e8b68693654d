"""``slmdeploy inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, bytes_text, plain, table_text
from slmdeploy.cli.options import common, fetch_option, model_argument, targets_dir_option

if TYPE_CHECKING:
    from slmdeploy.pipeline import Inspection, TargetFit

__all__ = ["command"]


@click.command("inspect")
@model_argument
@fetch_option
@targets_dir_option
@common
def command(*, console: Console, model: str, fetch: bool, targets_dirs: tuple[Path, ...]) -> None:
    """Say what MODEL is and which targets it would fit.

    MODEL is a Hugging Face directory, a hub id, a GGUF file or "demo". Only headers are
    read, so this is fast however large the model is.
    """
    from slmdeploy import pipeline

    with console.progress() as progress:
        found = pipeline.inspect(model, fetch=fetch, targets_dirs=targets_dirs, progress=progress)
    console.show("slmdeploy/inspect/1", plain(found), lambda: _text(found))


def _text(found: Inspection) -> str:
    share = found.vocabulary_share
    rows = [
        ("model", found.name),
        ("source", found.source),
        ("note", found.note),
        ("kind", found.kind),
        ("architecture", found.architecture),
        ("parameters", f"{found.parameters:,}"),
        ("bytes", f"{bytes_text(found.bytes)} as {', '.join(found.dtypes)}"),
        ("compression", found.compression or "none"),
        ("context", found.context),
        ("vocabulary", found.vocabulary_size),
        ("vocabulary share", None if share is None else f"{share:.1%} of the parameters"),
        ("tokenizer", found.tokenizer or f"none: {found.tokenizer_reason}"),
        ("license", found.license),
    ]
    facts = "\n".join(f"{name:<18}{value}" for name, value in rows if value is not None)
    parts = table_text(
        ["component", "parameters", "bytes"],
        [(c.name, c.parameters, c.bytes) for c in found.components],
    )
    return "\n\n".join([facts, parts, *([_fits(found.fits)] if found.fits else [])])


def _fits(fits: tuple[TargetFit, ...]) -> str:
    rows = [
        (
            fit.target,
            fit.recipe,
            bytes_text(fit.predicted_bytes),
            "; ".join(f"{f.check}: {f.status} ({f.message})" for f in fit.findings),
        )
        for fit in fits
    ]
    return table_text(["target", "recipe", "artifact (estimate)", "would it fit"], rows)
