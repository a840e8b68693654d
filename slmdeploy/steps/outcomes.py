"""What the steps of the pipeline give back. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from slmdeploy.errors import SlmdeployError

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import Manifest, RungResult
    from slmdeploy.model.inspect import ModelDescription
    from slmdeploy.target.fit import FitFinding

__all__ = [
    "Attempt",
    "Exported",
    "Fetched",
    "Generated",
    "GenerationEnd",
    "Inspection",
    "Pushed",
    "ReportFormat",
    "TargetFit",
    "Verified",
]

T = TypeVar("T")
ReportFormat = Literal["table", "md", "json", "csv"]


@dataclass(frozen=True)
class Attempt(Generic[T]):
    """What a step gave for one target or device: a value, or why there is none.

    Attributes:
        subject: Name of the target or device.
        value: What it gave; ``None`` when it failed or was not reached.
        error: Why not.
    """

    subject: str
    value: T | None
    error: SlmdeployError | None = None


@dataclass(frozen=True)
class Exported:
    """A bundle, or with ``dry_run`` the plan of one (``manifest`` is ``None`` then).

    Attributes:
        bundle: The folder.
        reused: Steps that were kept from an earlier, interrupted export.
        peak_rss_bytes: Largest resident set of the export itself.
        wall_ns: How long it took.
        parity: What the artifact gave here, held against the compressed model itself.
        compressed_sha256: Of the logits of that model: targets with the same one were made of
            the same.
    """

    bundle: Path
    manifest: Manifest | None
    recipe: str
    reused: tuple[str, ...] = ()
    peak_rss_bytes: int | None = None
    wall_ns: int | None = None
    parity: tuple[RungResult, ...] = ()
    compressed_sha256: str | None = None


@dataclass(frozen=True)
class TargetFit:
    """Whether a model would fit a target with the target's own recipe.

    Attributes:
        predicted_bytes: Estimate of the artifact's size.
        findings: Each known limit against it.
        context: Tokens that ``device_peak_bytes`` is for.
        device_peak_bytes: Estimate of the peak memory of a run on the device.
        device_peak_reason: Why there is no estimate.
        export_peak_bytes: Estimate of the export's peak memory on this computer; ``None``
            for a runtime that was not measured.
        export_cpu_s: Estimate of the export's processor time in seconds, without the
            ladder.
        export_fits: This computer has the memory for the export now; ``None`` where it is
            not known.
    """

    target: str
    recipe: str
    predicted_bytes: int | None
    findings: tuple[FitFinding, ...]
    context: int | None = None
    device_peak_bytes: int | None = None
    device_peak_reason: str | None = None
    export_peak_bytes: int | None = None
    export_cpu_s: float | None = None
    export_fits: bool | None = None


@dataclass(frozen=True)
class Inspection:
    """What a model is, and for each target that could be read whether it would fit."""

    model: ModelDescription
    fits: tuple[TargetFit, ...]


@dataclass(frozen=True)
class Fetched:
    """A model that was fetched, or was there already.

    Attributes:
        note: What must be said of it (``dequantized Q4_1``).
    """

    name: str
    path: Path
    bytes: int
    already_there: bool
    license: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Verified:
    """The ladder as far as it was climbed.

    Attributes:
        broken: The first rung that failed.
        broken_on_device: Whether that was the device's rung.
    """

    bundle: Path
    rungs: tuple[RungResult, ...]
    broken: str | None
    broken_on_device: bool = False


@dataclass(frozen=True)
class Pushed:
    """What went to a device, or with ``dry_run`` would go.

    Attributes:
        skipped_bytes: Content that was there, or came together from what was.
        copied_bytes: Of these, what was copied from other files there.
        remarks: What the user should know, as of a damaged file that was sent anew.
    """

    device: str
    bundle_dir: str
    sent_bytes: int
    skipped_bytes: int
    dry_run: bool = False
    copied_bytes: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generated:
    """A piece of text (whole UTF-8 characters); ``token_id`` is ``None`` at the flush."""

    text: str
    index: int
    token_id: int | None
    t_ns: int | None


@dataclass(frozen=True)
class GenerationEnd:
    """The last event of a generation.

    Attributes:
        reason: ``stop``, ``length`` or ``context``.
        ttft_ns: From the start of prefill to the first token.
    """

    reason: str
    prompt_tokens: int
    generated_tokens: int
    ttft_ns: int | None
    decode_tokens_per_s: float | None
