"""A record: all that is known of one measurement, as a versioned document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from slmdeploy.bench.imports.parsed import ImportedWorkload
from slmdeploy.bench.measure import Measurement
from slmdeploy.bench.samples import ProcessSample
from slmdeploy.bench.sensors import BoardWatch
from slmdeploy.bench.summary import MetricValue
from slmdeploy.bench.workload import GenerateWorkload, InvokeWorkload
from slmdeploy.bundle.manifest import ModelInfo
from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import UsageError
from slmdeploy.store.ids import new_id
from slmdeploy.store.imported import Imported

__all__ = ["RECORD_VERSION", "Record", "make_record", "read_record"]

RECORD_VERSION = 3


class Record(BaseModel):
    """One measurement of one bundle on one device.

    Attributes:
        id: Sorts in the order of time.
        created: With its time zone.
        status: ``valid`` if any run counts; the others are kept with their reason.
        bundle: Name of the bundle.
        manifest_sha256: Of its ``manifest.json``, which names every file by hash.
        model: As in the manifest, note and licence included; ``None`` for an imported record
            without a bundle.
        recipe: What was compressed, and how; ``None`` as for the model.
        target: Name of the target profile.
        device: Name of the device.
        threads: Worker threads that were asked for; ``None`` for the runner's choice.
        workload: What was run.
        metrics: One value per metric id.
        provenance: Hashes of weights, tokenizer and recipe; versions; facts of device
            and host. Flat or nested, JSON values only.
        notes: What a reader of the numbers should know.
        samples: Every process, warm-ups and failed ones included.
        imported: Where it came from, if another tool measured; it is never ranked with ours.
        watch: How the board's sensors were read; ``None`` in records of version 1.
        watch_log: The raw text of all readings, as the agent wrote it; in no document,
            since it is kept in a table of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[3] = 3
    id: str = Field(default_factory=new_id, pattern=r"^[0-9a-z][0-9a-z-]*$")
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    status: Literal["valid", "invalid", "failed"]
    reason: str | None = None
    bundle: str
    manifest_sha256: str | None
    model: ModelInfo | None
    recipe: Recipe | None
    target: str
    device: str
    threads: int | None
    workload: Annotated[
        GenerateWorkload | InvokeWorkload | ImportedWorkload, Field(discriminator="kind")
    ]
    metrics: dict[str, MetricValue]
    provenance: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    samples: tuple[ProcessSample, ...] = ()
    imported: Imported | None = None
    watch: BoardWatch | None = None
    watch_log: str | None = Field(default=None, exclude=True, repr=False)

    @property
    def model_name(self) -> str:
        """Of the model; what an imported file calls it, where no bundle says."""
        if self.model is not None:
            return self.model.name
        said = None if self.imported is None else self.imported.model
        return said or "unknown"

    @property
    def recipe_name(self) -> str:
        """Of the recipe."""
        return "unknown" if self.recipe is None else self.recipe.name


def make_record(
    measurement: Measurement,
    *,
    bundle: str,
    manifest_sha256: str | None,
    model: ModelInfo,
    recipe: Recipe,
    target: str,
    device: str,
    sizes: Mapping[str, MetricValue],
    provenance: Mapping[str, Any],
    watch: BoardWatch | None = None,
    watch_log: str | None = None,
) -> Record:
    """Put a measurement and what it was made of into a record.

    Args:
        measurement: What ``bench.measure`` gave.
        bundle: Name of the bundle.
        manifest_sha256: Of its manifest.
        model: From its manifest.
        recipe: From its manifest.
        target: Name of the target profile.
        device: Name of the device.
        sizes: What ``bench.summary.size_values`` gave.
        provenance: JSON values only.
        watch: How the board's sensors were read.
        watch_log: The raw text of all readings.
    """
    return Record(
        status=measurement.status,
        reason=measurement.reason,
        bundle=bundle,
        manifest_sha256=manifest_sha256,
        model=model,
        recipe=recipe,
        target=target,
        device=device,
        threads=measurement.threads,
        workload=measurement.workload,
        metrics={**measurement.summary, **sizes},
        provenance=dict(provenance),
        notes=measurement.notes,
        samples=measurement.samples,
        watch=watch,
        watch_log=watch_log,
    )


_Document = dict[str, Any]


def _with_sensors(document: _Document) -> _Document:
    """Version 2 adds what the board's sensors said; there was none before."""
    return {**document, "version": 2}


def _with_imports(document: _Document) -> _Document:
    """Version 3 adds what other tools measured; there was none before."""
    return {**document, "version": 3}


_UPGRADES: dict[int, Callable[[_Document], _Document]] = {1: _with_sensors, 2: _with_imports}
"""How a document of an older version becomes one of the next: one function a version."""


def read_record(document: Mapping[str, Any]) -> Record:
    """Read a record's document of this version or an older one.

    Raises:
        UsageError: It is of a later version, or damaged.
    """
    current = dict(document)
    version = current.get("version")
    while isinstance(version, int) and version in _UPGRADES:
        current = _UPGRADES[version](current)
        version = current.get("version")
    if isinstance(version, int) and version > RECORD_VERSION:
        raise UsageError(
            f"Record {current.get('id')!r} has version {version}; this slmdeploy reads up to "
            f"{RECORD_VERSION}.",
            hint="Upgrade: pip install -U slmdeploy",
        )
    try:
        return Record.model_validate(current)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UsageError(
            f"Record {current.get('id')!r} is damaged: {where}: {first['msg']}."
        ) from error
