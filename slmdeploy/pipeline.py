"""The program as a tuple of steps; the only place that knows all rooms.

Each function is one step and the Python API at once. Steps that work on several targets
or devices give one ``Attempt`` each, so that one device that is away does not hide what
the others did. Rooms are imported where they are used: ``report`` must not load torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from slmdeploy.errors import UsageError
from slmdeploy.progress import Progress, silent
from slmdeploy.steps.at_once import at_once, in_turn
from slmdeploy.steps.outcomes import (
    Attempt,
    Exported,
    Fetched,
    Generated,
    GenerationEnd,
    Inspection,
    Pushed,
    ReportFormat,
    TargetFit,
    Verified,
)

if TYPE_CHECKING:
    from slmdeploy.device.doctor.examine import Diagnosis
    from slmdeploy.device.runs.settings_plan import Use
    from slmdeploy.device.types import Device
    from slmdeploy.model.request import ModelRequest
    from slmdeploy.runtime.protocol import Sampling
    from slmdeploy.steps.measuring import Measuring
    from slmdeploy.steps.provisioning import Provisioned, Unprovisioned
    from slmdeploy.store.record import Record
    from slmdeploy.store.records import Store

__all__ = [
    "STEPS",
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
    "doctor",
    "export",
    "fetch",
    "generate",
    "import_runs",
    "inspect",
    "provision",
    "push",
    "record",
    "report",
    "run",
    "runs",
    "unprovision",
    "verify",
]


def _devices(selectors: Sequence[str]) -> tuple[Device, ...]:
    from slmdeploy.device.lab.inventory import load_inventory

    return load_inventory().select(selectors)


def _store(url: str | None) -> Store:
    from slmdeploy.places import find_project
    from slmdeploy.store.records import open_store

    return open_store(url or find_project().records_path)


def inspect(
    model: str | ModelRequest,
    *,
    fetch: bool = False,
    context: int | None = None,
    values: bool = False,
    targets_dirs: Sequence[Path] = (),
    progress: Progress = silent,
) -> Inspection:
    """Read a model and say what it is, which targets it would fit and what exports would take.

    Args:
        model: A directory, a hub id, a GGUF file or ``demo``.
        fetch: Download it where it is not on this computer yet.
        context: Tokens of a run, for the forecast of memory; ``None`` for each target's own.
        values: Also read every value: NaN and infinities are errors, zeros are remarked.
        targets_dirs: Folders of target profiles that are looked at first.
        progress: Is told of a download.
    """
    from slmdeploy.steps import describing

    return describing.inspect_model(
        model,
        fetch=fetch,
        context=context,
        values=values,
        targets_dirs=targets_dirs,
        progress=progress,
    )


def fetch(
    model: str,
    *,
    arch: str | None = None,
    runtime: str | None = None,
    python: str | None = None,
    unpinned: bool = False,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Fetched:
    """Download ``demo``, a hub id or ``runtime``; the only step that uses the network.

    Args:
        model: What to fetch; ``runtime`` for what boards need.
        arch: Of the runtime; by default ``aarch64``.
        runtime: ``executorch`` (default), ``litert`` or ``tflite-runtime``.
        python: The board's Python, as in ``3.11``; for the latter two.
        unpinned: Also take an ``executorch`` whose sha256 is not known.
        dry_run: Only say whether it is here.
        progress: Is told of the download.
    """
    from slmdeploy.steps.fetching import fetch_any

    named = (arch or "aarch64", runtime or "executorch", python or "")
    return fetch_any(model, *named, unpinned=unpinned, dry_run=dry_run, progress=progress)


def export(
    model: str | ModelRequest,
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
        model: As ``parse_ref`` takes it; a request says more: adapters, pickles, pooling.
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
    from slmdeploy.model.request import request_of
    from slmdeploy.steps.preparing import Preparation

    with Preparation(
        request_of(model),
        recipe=recipe,
        context=context,
        output=output,
        verify=verify,
        fetch=fetch,
        targets_dirs=tuple(targets_dirs),
        dry_run=dry_run,
        progress=progress,
        several=len(targets) > 1,
        targets=tuple(targets),
    ) as prepared:
        subjects = prepared.subjects(targets)
        return in_turn(tuple(subjects), lambda subject: prepared.export(*subjects[subject]))


def verify(
    bundle: Path,
    *,
    devices: Sequence[str] = (),
    steal: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Verified], ...]:
    """Climb the ladder of a bundle; to the host (subject ``host``), then each device.

    With ``steal`` a device is taken from whoever measures on it.
    """
    from slmdeploy.device.runs.settings_plan import Use
    from slmdeploy.steps.verifying import verify_bundle

    if not devices:
        return in_turn(("host",), lambda _: verify_bundle(bundle, None, progress))
    return at_once(
        devices, lambda device, told: verify_bundle(bundle, device, told, use=Use(steal)), progress
    )


def provision(
    devices: Sequence[str],
    runtime: str,
    *,
    fetch: bool = False,
    dry_run: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Provisioned], ...]:
    """Bring a runtime to devices and try it there; they need no internet.

    Args:
        devices: Selectors, as ``--device`` takes them.
        runtime: ``executorch``, ``litert`` or ``tflite-runtime``.
        fetch: Download to this computer what is missing here.
        dry_run: Only say what would be sent.
        progress: Is told what is being done.
    """
    from slmdeploy.steps.provisioning import provision_device

    return at_once(
        devices,
        lambda device, told: provision_device(
            device, runtime, fetch=fetch, dry_run=dry_run, progress=told
        ),
        progress,
    )


def unprovision(
    devices: Sequence[str], runtime: str, *, force: bool = False, dry_run: bool = False
) -> tuple[Attempt[Unprovisioned], ...]:
    """Take a runtime off devices; refused where a deployment needs it, unless ``force``."""
    from slmdeploy.steps.provisioning import unprovision_device

    return at_once(
        devices,
        lambda device, _: unprovision_device(device, runtime, force=force, dry_run=dry_run),
    )


def doctor(
    devices: Sequence[str],
    *,
    target: str | None = None,
    bundle: Path | None = None,
    runtime: str | None = None,
    targets_dirs: Sequence[Path] = (),
) -> tuple[Attempt[Diagnosis], ...]:
    """Examine devices, all at once: will this run there, and will its figures mean anything.

    A device that is away is a finding, not an error; nothing is sent or changed.

    Args:
        devices: Selectors, as ``--device`` takes them.
        target: Name or file of a target to hold them against.
        bundle: A bundle to hold them against; its manifest names its target and sizes.
        runtime: What to hold them against where neither is named; else ``executorch``.
        targets_dirs: Further folders of target profiles.
    """
    from slmdeploy.device.doctor.asked import asked_of
    from slmdeploy.device.doctor.examine import examine

    asked = asked_of(target, bundle, targets_dirs, runtime=runtime)
    return at_once(devices, lambda device, _: examine(device, asked))


def push(
    bundle: Path,
    *,
    devices: Sequence[str],
    verify: bool = False,
    dry_run: bool = False,
    steal: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Pushed], ...]:
    """Bring a bundle and its runner to devices, to all at once.

    Args:
        bundle: The bundle's folder.
        devices: Selectors, as ``--device`` takes them.
        verify: Hash all that is there, even what has not changed since it was verified.
        dry_run: Only look what would be sent.
        steal: Take a board that somebody else measures on.
        progress: Is told what is sent.
    """
    from slmdeploy.bundle.folder import open_bundle
    from slmdeploy.device.runs.settings_plan import Use
    from slmdeploy.steps.ready import push_to

    opened, use = open_bundle(bundle), Use(steal)
    return at_once(
        devices,
        lambda device, told: push_to(
            opened, device, verify=verify, dry_run=dry_run, use=use, progress=told
        ),
        progress,
    )


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
    steal: bool = False,
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
        steal: Take the device from whoever measures on it.
        progress: Is told what is done until the first piece comes.
    """
    from slmdeploy.bundle.folder import open_bundle
    from slmdeploy.device.runs.settings_plan import Use
    from slmdeploy.runtime.protocol import Sampling
    from slmdeploy.steps.talking import talk

    opened = open_bundle(bundle)
    chosen = _devices([device])
    if len(chosen) != 1:
        raise UsageError(f"{device!r} names {len(chosen)} devices; generate talks to one.")
    return talk(
        opened,
        chosen[0],
        prompt,
        max_new=max_new,
        sampling=sampling or Sampling(),
        system=system,
        raw=raw,
        threads=threads,
        use=Use(steal),
        progress=progress,
    )


def bench(
    bundle: Path,
    *,
    devices: Sequence[str],
    prompt: int | None = None,
    generate: int | None = None,
    runs: int | None = None,
    threads: int | None = None,
    use: Use | None = None,
    store: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> tuple[Attempt[Record], ...]:
    """Measure a bundle on devices; the value is the stored record, one for each length.

    A device that failed has its record as well, with the reason, beside the error.

    Args:
        bundle: The bundle's folder.
        devices: Selectors, as ``--device`` takes them.
        prompt: Prompt tokens; ``None`` for the workload's own, or all lengths of an encoder.
        generate: Tokens to generate, end of text ignored.
        runs: Processes after the warm-up.
        threads: Worker threads; ``None`` for the target's.
        use: Whether to take devices from others, and what to set on them meanwhile.
        store: Path or URL of the store; ``None`` for the project's.
        dry_run: Only say what would be measured (no record).
        progress: Is told what is being done.
    """
    from slmdeploy.bundle.folder import open_bundle
    from slmdeploy.device.runs.settings_plan import USUAL
    from slmdeploy.steps.measuring import Bench, judged, measure_all

    asked = Bench(open_bundle(bundle), prompt, generate, runs, threads, use or USUAL)
    if dry_run:
        asked.check()
        return at_once(devices, asked.show, progress)
    _devices(devices)  # an unknown one is told before a store is made
    with _store(store) as kept:
        measured = measure_all(asked, devices, progress, lambda it: kept.get(kept.add(it)))
    return tuple(one if one.value is None else judged(one.subject, one.value) for one in measured)


def runs(*, store: str | None = None) -> tuple[Record, ...]:
    """The records of the store, newest first, failed ones too."""
    with _store(store) as kept:
        return tuple(reversed(kept.list(samples=False)))


def import_runs(
    files: Sequence[Path],
    *,
    format: str = "auto",  # noqa: A002
    bundle: Path | None = None,
    device: str | None = None,
    target: str | None = None,
    store: str | None = None,
    dry_run: bool = False,
) -> tuple[Attempt[Record], ...]:
    """Make records of what other tools measured; the subject is the file.

    With ``dry_run`` they are read and not stored.
    """
    from slmdeploy.steps.importing import import_file

    def read(file: Path) -> Record:
        return import_file(file, name=format, bundle=bundle, device=device, target=target)

    if dry_run:
        return in_turn(files, read)
    with _store(store) as kept:
        return in_turn(files, lambda file: kept.get(kept.add(read(file))))


def record(run: str, *, store: str | None = None) -> Record:
    """One record of the store, with all its samples."""
    with _store(store) as kept:
        return kept.get(run)


def report(
    selected: Sequence[str] = (),
    *,
    format: ReportFormat = "table",  # noqa: A002
    definitions: bool = False,
    store: str | None = None,
) -> str:
    """Print records (all where none is named) in one of the formats."""
    from slmdeploy.report.render import render_text

    with _store(store) as kept:
        chosen = [kept.get(name) for name in selected] or kept.list()
    return render_text(format, chosen, definitions=definitions)


def run(
    model: str | ModelRequest,
    targets: Sequence[str],
    *,
    devices: Sequence[str] = ("local",),
    recipe: str | None = None,
    context: int | None = None,
    output: Path | None = None,
    verify: bool = True,
    fetch: bool = False,
    targets_dirs: Sequence[Path] = (),
    dry_run: bool = False,
    progress: Progress = silent,
    **measuring: Unpack[Measuring],
) -> tuple[Attempt[Record], ...]:
    """All of it: export, verify, push and bench; a record for each target and device.

    The subject of an attempt is ``<target> on <device>``; the arguments are those of both.
    """
    from slmdeploy.steps.runnerless import refuse_android, refuse_apps

    refuse_android(_devices(devices))
    refuse_apps(targets, targets_dirs)
    made = export(
        model,
        targets,
        recipe=recipe,
        context=context,
        output=output,
        verify=verify,
        fetch=fetch,
        targets_dirs=targets_dirs,
        dry_run=dry_run,
        progress=progress,
    )
    results: list[Attempt[Record]] = []
    for one in made:
        if one.value is None or dry_run:
            results.append(Attempt(one.subject, None, one.error))
            continue
        on = bench(one.value.bundle, devices=devices, progress=progress, **measuring)
        results += [Attempt(f"{one.subject} on {it.subject}", it.value, it.error) for it in on]
    return tuple(results)


STEPS: Final = (inspect, fetch, export, verify, push, generate, bench, report)
"""The program, in the order of the work; ``run`` goes from ``export`` to ``bench``."""
