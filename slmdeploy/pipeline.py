"""The program as a tuple of steps; the only place that knows all rooms.

DRAFT: the signatures that ``cli/`` calls. Each function is one step and the Python
API at once. Steps that work on several targets or devices give one ``Attempt`` each,
so that one device that is away does not hide what the others did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from slmdeploy.errors import SlmdeployError
from slmdeploy.progress import Progress, silent

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import Manifest, RungResult
    from slmdeploy.model.inspect import ModelDescription
    from slmdeploy.runtime.protocol import Sampling
    from slmdeploy.store.record import Record
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
    "bench",
    "export",
    "fetch",
    "generate",
    "inspect",
    "push",
    "record",
    "report",
    "run",
    "runs",
    "verify",
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
    """

    bundle: Path
    manifest: Manifest | None
    recipe: str
    reused: tuple[str, ...] = ()
    peak_rss_bytes: int | None = None
    wall_ns: int | None = None


@dataclass(frozen=True)
class TargetFit:
    """Whether a model would fit a target with the target's own recipe.

    Attributes:
        predicted_bytes: Estimate of the artifact's size.
        findings: Each known limit against it.
    """

    target: str
    recipe: str
    predicted_bytes: int | None
    findings: tuple[FitFinding, ...]


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
    """What went to a device, or with ``dry_run`` would go."""

    device: str
    bundle_dir: str
    sent_bytes: int
    skipped_bytes: int
    dry_run: bool = False


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


def inspect(
    model: str,
    *,
    fetch: bool = False,
    targets_dirs: Sequence[Path] = (),
    progress: Progress = silent,
) -> Inspection:
    """Read a model and say what it is and which targets it would fit."""
    raise NotImplementedError


def fetch(model: str, *, dry_run: bool = False, progress: Progress = silent) -> Fetched:
    """Download ``demo`` or a hub id; the only step that uses the network."""
    raise NotImplementedError


def export(
    model: str,
    targets: Sequence[str],
    *,
    recipe: str | None = None,
    context: int | None = None,
    output: Path | None = None,
    verify: bool = True,
    fetch: bool = False,
    targets_dirs: Sequence[Path] = (),
    dry_run: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Exported], ...]:
    """Compress and export a model for each target; a bundle each under ``output``.

    Args:
        model: A directory, a hub id, a GGUF file or ``demo``.
        targets: Names or files of targets.
        recipe: Name or file; ``None`` for each target's own.
        context: Tokens in the cache; ``None`` for the target's own.
        output: Folder of bundles; ``None`` for the project's ``bundles``.
        verify: Climb the ladder to the host's rung.
        fetch: Download the model if it is not here.
        targets_dirs: Further folders of target profiles.
        dry_run: Only say what would be made.
        progress: Is told what is being done.
    """
    raise NotImplementedError


def verify(
    bundle: Path, *, devices: Sequence[str] = (), progress: Progress = silent
) -> tuple[Attempt[Verified], ...]:
    """Climb the ladder of a bundle; to the host (subject ``host``), then each device."""
    raise NotImplementedError


def push(
    bundle: Path,
    *,
    devices: Sequence[str],
    dry_run: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Pushed], ...]:
    """Bring a bundle and its runner to devices (selectors, as ``--device`` takes them)."""
    raise NotImplementedError


def generate(
    bundle: Path,
    prompt: str,
    *,
    device: str = "local",
    max_new: int = 128,
    sampling: Sampling | None = None,
    system: str | None = None,
    raw: bool = False,
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[Generated | GenerationEnd]:
    """Answer a prompt on a device, piece by piece; the last event is a ``GenerationEnd``.

    Args:
        bundle: The bundle's folder.
        prompt: What the user says.
        device: A selector that names one device.
        max_new: Tokens at most.
        sampling: How tokens are chosen; ``None`` for greedy.
        system: A system message, where the chat template takes one.
        raw: Continue the text as it stands, without a chat template.
        threads: Worker threads; ``None`` for the target's.
        progress: Is told what is done until the first piece comes.
    """
    raise NotImplementedError


def bench(
    bundle: Path,
    *,
    devices: Sequence[str],
    prompt: int | None = None,
    generate: int | None = None,
    runs: int | None = None,
    threads: int | None = None,
    store: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Record], ...]:
    """Measure a bundle on devices; the value is the stored record.

    A device that failed has its record as well, with the reason, beside the error.

    Args:
        bundle: The bundle's folder.
        devices: Selectors, as ``--device`` takes them.
        prompt: Prompt tokens; ``None`` for the workload's own.
        generate: Tokens to generate, end of text ignored.
        runs: Processes after the warm-up.
        threads: Worker threads; ``None`` for the target's.
        store: Path or URL of the store; ``None`` for the project's.
        dry_run: Only say what would be measured (no record).
        progress: Is told what is being done.
    """
    raise NotImplementedError


def runs(*, store: str | None = None) -> tuple[Record, ...]:
    """The records of the store, newest first, failed ones too."""
    raise NotImplementedError


def record(run: str, *, store: str | None = None) -> Record:
    """One record of the store, with all its samples."""
    raise NotImplementedError


def report(
    selected: Sequence[str] = (),
    *,
    format: ReportFormat = "table",  # noqa: A002
    definitions: bool = False,
    store: str | None = None,
) -> str:
    """Print records (all where none is named) in one of the formats."""
    raise NotImplementedError


def run(
    model: str,
    targets: Sequence[str],
    *,
    devices: Sequence[str] = ("local",),
    recipe: str | None = None,
    context: int | None = None,
    output: Path | None = None,
    verify: bool = True,
    fetch: bool = False,
    targets_dirs: Sequence[Path] = (),
    store: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Record], ...]:
    """All of it: export, verify, push and bench; a record for each target and device.

    The subject of an attempt is ``<target> on <device>``.
    """
    raise NotImplementedError
