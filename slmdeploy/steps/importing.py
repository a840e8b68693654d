"""Make records of what other tools measured, in the same store as ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

from slmdeploy import __version__
from slmdeploy.bench.imports.formats import AUTO, parse
from slmdeploy.bench.imports.parsed import Parsed
from slmdeploy.bench.summary import size_values
from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.bundle.manifest import MANIFEST_NAME
from slmdeploy.errors import UsageError
from slmdeploy.store.imported import Imported
from slmdeploy.store.record import Record

__all__ = ["MOST_BYTES", "import_file"]

MOST_BYTES = 64 << 20
"""Of a file: logs are read whole."""

NOT_OURS = "imported: measured by {tool}, not by slmdeploy"


def import_file(
    file: Path,
    *,
    name: str = AUTO,
    bundle: Path | None = None,
    device: str | None = None,
    target: str | None = None,
) -> Record:
    """Read a file of another tool and describe it in a record.

    Args:
        file: What the tool wrote.
        name: Its format, or ``auto``.
        bundle: What ran there; without it the record knows no model and no recipe.
        device: Where it ran; by default what the file says of it.
        target: By default the bundle's.

    Raises:
        UsageError: The file cannot be read, is in no known format, or nothing says what the
            device or the target is.
    """
    data = _read(file)
    try:
        parsed = parse(data, name)
    except UsageError as error:
        raise type(error)(f"{file}: {error.message}", hint=error.hint) from error
    opened = None if bundle is None else open_bundle(bundle)
    manifest = None if opened is None else opened.manifest
    return Record(
        status="failed" if parsed.failed else "valid",
        reason=parsed.failed,
        bundle="unknown" if manifest is None else manifest.name,
        manifest_sha256=None if opened is None else _sha256_of_manifest(opened),
        model=None if manifest is None else manifest.model,
        recipe=None if manifest is None else manifest.recipe,
        target=_named("target", target or (manifest.target if manifest else None), file),
        device=_named("device", device or parsed.device, file),
        threads=None,
        workload=parsed.workload,
        metrics={**parsed.metrics(), **({} if opened is None else size_values(_sizes(opened)))},
        provenance={"imported_by": __version__, "source": str(file.name)},
        notes=_notes(parsed),
        imported=Imported(
            tool=parsed.tool,
            file=file.name,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            resolution=parsed.resolution,
            runs=parsed.runs,
            theirs=parsed.theirs,
            device=parsed.device,
            model=parsed.model,
        ),
    )


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"{file} has more than {MOST_BYTES} bytes.",
            hint="Keep the lines of the tool alone, as with: grep PyTorchObserver",
        )
    return data


def _named(what: str, value: str | None, file: Path) -> str:
    if value:
        return value
    known = "; a bundle names it, too (--bundle)" if what == "target" else ""
    raise UsageError(
        f"{file} does not say what the {what} was.", hint=f"Give it: --{what} NAME{known}."
    )


def _notes(parsed: Parsed) -> tuple[str, ...]:
    notes = [NOT_OURS.format(tool=parsed.tool)]
    if parsed.resolution is not None:
        notes.append(f"resolution of the tool's clock: {parsed.resolution}")
    notes.append("power, heat and load of the device are not known")
    return (*notes, *parsed.notes)


def _sizes(bundle: Bundle) -> dict[str, int]:
    files = sum(info.bytes for info in bundle.manifest.files.values())
    return {"artifact_bytes": bundle.manifest.artifact.bytes, "bundle_bytes": files}


def _sha256_of_manifest(bundle: Bundle) -> str:
    return hashlib.sha256((bundle.path / MANIFEST_NAME).read_bytes()).hexdigest()
