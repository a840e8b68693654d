"""``slmdeploy inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.bundle_text import show_bundle
from slmdeploy.cli.console import Console, bytes_text, plain, table_text
from slmdeploy.cli.options import (
    common,
    fetch_option,
    model_argument,
    request_options,
    targets_dir_option,
)

if TYPE_CHECKING:
    from slmdeploy.model.inspect import ModelDescription
    from slmdeploy.model.request import ModelRequest
    from slmdeploy.pipeline import Inspection, TargetFit

__all__ = ["command"]

_CODE = {"slmdeploy": None, "transformers": "transformers' own", "module": "the module's own"}
_YES_NO = {True: "yes", False: "no: too little memory", None: "not known"}


@click.command("inspect")
@model_argument
@request_options
@fetch_option
@click.option(
    "--context",
    type=click.IntRange(min=16),
    metavar="N",
    help="Tokens of a run that memory on the device is forecast for.",
)
@click.option("--values", is_flag=True, help="Read every value: NaN, infinities, zeros.")
@click.option("--no-run", is_flag=True, help="Of a Core ML bundle: do not run it in float16.")
@targets_dir_option
@common
def command(
    *,
    console: Console,
    request: ModelRequest,
    fetch: bool,
    context: int | None,
    values: bool,
    no_run: bool,
    targets_dirs: tuple[Path, ...],
) -> None:
    """Say what MODEL is and which targets it would fit, or what is in a bundle.

    MODEL is a Hugging Face directory, a hub id, a GGUF file, "demo" or "demo-embedding":
    only headers are read, so this is fast however large the model is. Or it is a .pt2 or
    TorchScript file or a function package.module:function, which are loaded whole.
    Of a bundle it tells operators, bytes and states, and for Core ML what to look at on the
    device; its golden tokens are run in float16 for that.
    """
    from slmdeploy import pipeline
    from slmdeploy.bundle.manifest import MANIFEST_NAME

    if (Path(request.text) / MANIFEST_NAME).is_file():
        show_bundle(console, Path(request.text), run=not no_run)
        return
    if request.adapters:
        raise click.UsageError("inspect looks at a model without adapters; export merges them.")
    with console.progress() as progress:
        found = pipeline.inspect(
            request,
            fetch=fetch,
            context=context,
            values=values,
            targets_dirs=targets_dirs,
            progress=progress,
        )
    console.show("slmdeploy/inspect/1", plain(found), lambda: _text(found))


def _text(found: Inspection) -> str:
    model = found.model
    rows = [
        ("model", model.name),
        ("source", f"{model.source}: {model.path}"),
        ("note", model.note),
        ("kind", model.kind),
        ("architecture", model.architecture or "not named"),
        ("family", model.family),
        ("code", _CODE[model.code]),
        ("parameters", f"{model.parameters:,}"),
        ("stored", f"{bytes_text(model.stored_bytes)} as {_dtypes(model)}"),
        ("as float32", bytes_text(model.float32_bytes)),
        ("compression", model.compression or "none"),
        ("context", model.context),
        ("vocabulary", model.vocab_size),
        ("vocabulary share", f"{model.vocabulary_share:.1%} of the parameters"),
        ("tokenizer", _tokenizer(model)),
        ("license", model.license or "not stated"),
        *(("remark", remark) for remark in model.remarks),
    ]
    facts = "\n".join(f"{name:<18}{value}" for name, value in rows if value is not None)
    parts = table_text(
        ["component", "tensors", "parameters", "bytes", "share"],
        [
            (c.name, c.tensors, c.parameters, c.stored_bytes, f"{c.share:.1%}")
            for c in model.components
        ],
    )
    tables = [_fits(found.fits), _costs(found.fits)] if found.fits else []
    return "\n\n".join([facts, parts, *(text for text in tables if text)])


def _dtypes(model: ModelDescription) -> str:
    return ", ".join(f"{share.dtype} ({share.tensors} tensors)" for share in model.dtypes)


def _tokenizer(model: ModelDescription) -> str:
    found = model.tokenizer
    if found is None:
        return f"none: {model.tokenizer_reason}"
    template = "with" if found.chat_template else "without"
    return f"{found.kind}, {found.vocab_size:,} tokens, {template} chat template"


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


def _costs(fits: tuple[TargetFit, ...]) -> str:
    """What runs would take on the device, and exports here."""
    known = [fit for fit in fits if fit.export_peak_bytes is not None]
    rows = [
        (
            fit.target,
            fit.context,
            bytes_text(fit.device_peak_bytes),
            bytes_text(fit.export_peak_bytes),
            "" if fit.export_cpu_s is None else f"{fit.export_cpu_s:.0f} s",
            _YES_NO[fit.export_fits],
        )
        for fit in known
    ]
    head = ["target", "context", "memory on the device", "memory of the export"]
    head += ["its processor time", "possible here now"]
    if not rows:
        return ""
    reasons = dict.fromkeys(fit.device_peak_reason for fit in known if fit.device_peak_reason)
    notes = "".join(f"\n-: {reason}" for reason in reasons)
    return f"Estimates:\n{table_text(head, rows)}{notes}"
