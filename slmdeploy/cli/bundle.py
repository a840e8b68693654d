"""``slmdeploy bundle show|pack|unpack``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, bytes_text, estimate_text, plain, table_text
from slmdeploy.cli.delegates import delegates_text
from slmdeploy.cli.options import bundle_argument, common
from slmdeploy.cli.rungs import rungs_text

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import Manifest

__all__ = ["command"]


@click.group("bundle")
def command() -> None:
    """Show, pack and unpack bundles."""


@command.command("show")
@bundle_argument
@click.option("--check", is_flag=True, help="Hold every file against its sha256.")
@common
def show(*, console: Console, bundle: Path, check: bool) -> None:
    """Show what is in BUNDLE and where it came from."""
    from slmdeploy.bundle.folder import open_bundle

    manifest = open_bundle(bundle, verify=check).manifest
    document = {"path": bundle, "checked": check, "manifest": plain(manifest)}
    console.show("slmdeploy/bundle-show/1", document, lambda: _text(manifest))


@command.command("pack")
@bundle_argument
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The archive; by default beside the bundle.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@common
def pack(*, console: Console, bundle: Path, output: Path | None, force: bool) -> None:
    """Make one file of BUNDLE."""
    from slmdeploy.bundle import archive

    written = archive.pack(bundle, output, force=force)
    size = written.stat().st_size
    console.show(
        "slmdeploy/bundle-pack/1",
        {"bundle": bundle, "archive": written, "bytes": size},
        lambda: f"{written} ({bytes_text(size)})",
    )


@command.command("unpack")
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("bundles"),
    help="Folder of the bundles; by default ./bundles.",
)
@common
def unpack(*, console: Console, archive: Path, output: Path) -> None:
    """Make a bundle of ARCHIVE again; every file is checked."""
    from slmdeploy.bundle.archive import unpack as make

    folder = make(archive, output)
    console.show("slmdeploy/bundle-unpack/1", {"bundle": folder}, lambda: str(folder))


def _text(manifest: Manifest) -> str:
    model, artifact, cache = manifest.model, manifest.artifact, manifest.cache
    rows = [
        ("bundle", manifest.name),
        ("created", manifest.created),
        ("target", manifest.target),
        ("model", f"{model.name} ({model.architecture}, {model.parameters:,} parameters)"),
        ("source", model.source),
        ("note", model.note),
        ("license", model.license),
        ("recipe", f"{manifest.recipe.name}: {manifest.recipe.description}"),
        ("runtime", _runtime(manifest)),
        ("artifact", f"{artifact.file}, {bytes_text(artifact.bytes)}"),
        ("delegates", delegates_text(manifest)),
        ("context", manifest.context and f"{manifest.context} tokens"),
        ("lengths", _lengths(manifest)),
        ("sizes", _sizes(manifest)),
        ("cache", cache and f"{cache.dtype} {cache.layout}, {bytes_text(cache.bytes)}"),
        ("predicted peak", estimate_text(manifest.memory.predicted_peak, manifest.memory.reason)),
        ("tokenizer", _tokenizer(manifest)),
    ]
    facts = "\n".join(f"{name:<16}{value}" for name, value in rows if value is not None)
    parts = table_text(
        ["component", "bytes"], [(row.component, row.bytes) for row in artifact.bytes_by_component]
    )
    ladder = manifest.verification
    rungs = "Not verified." if ladder is None else rungs_text(ladder.rungs)
    return f"{facts}\n\n{parts}\n\n{rungs}"


def _runtime(manifest: Manifest) -> str:
    artifact = manifest.artifact
    said = {"kernels": artifact.kernels, "backend": artifact.backend}
    return ", ".join([artifact.runtime, *(f"{what} {name}" for what, name in said.items() if name)])


def _lengths(manifest: Manifest) -> str | None:
    lengths = [str(one.length) for one in manifest.artifact.methods.values() if one.length]
    return f"{', '.join(lengths)} tokens, a method each" if lengths else None


def _sizes(manifest: Manifest) -> str | None:
    inputs = [one for method in manifest.artifact.methods.values() for one in method.inputs]
    return ", ".join(f"{one.name} {one.shape_text}" for one in inputs if one.varying) or None


def _tokenizer(manifest: Manifest) -> str:
    if manifest.tokenizer is None:
        return f"none: {manifest.tokenizer_reason}"
    template = "with" if manifest.tokenizer.chat_template else "without"
    return f"{manifest.tokenizer.vocab_size} tokens, {template} chat template"
