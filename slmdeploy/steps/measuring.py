"""Measure a bundle on a device, and make the record of it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from slmdeploy import __version__
from slmdeploy.bench.measure import Measurement, measure, measure_invoke
from slmdeploy.bench.observing import Observe, board_watch, with_sensors
from slmdeploy.bench.quality import has_labelled, measure_quality
from slmdeploy.bench.samples import ProcessSample
from slmdeploy.bench.summary import MetricValue, size_values
from slmdeploy.bench.workload import GenerateWorkload, check_fits, invoke_workload, synthetic
from slmdeploy.bundle.folder import Bundle
from slmdeploy.bundle.manifest import MANIFEST_NAME
from slmdeploy.bundle.methods import golden_calls, lengths_of, method_for
from slmdeploy.device.facts import BOARD_MODEL, CPU, GLIBC, KERNEL, MEMORY, Fact, read_fact
from slmdeploy.device.probes.watch import Watch, watched
from slmdeploy.device.runs.settings_plan import USUAL, Use
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError, UsageError
from slmdeploy.progress import Progress, Step
from slmdeploy.runtime.protocol import Runner
from slmdeploy.steps.answering import answer_note
from slmdeploy.steps.at_once import at_once
from slmdeploy.steps.outcomes import Attempt
from slmdeploy.steps.ready import Ready, planned, ready
from slmdeploy.steps.runnerless import refuse_without_runner
from slmdeploy.store.record import Record, make_record
from slmdeploy.transport.base import Transport

__all__ = [
    "GENERATE",
    "PROMPT",
    "RUNS",
    "Bench",
    "Measuring",
    "judged",
    "measure_all",
    "workload_for",
]

PROMPT, GENERATE, RUNS = 128, 64, 5
"""The workload where none is asked for."""

_FACTS: tuple[Fact[Any], ...] = (KERNEL, GLIBC, MEMORY, CPU, BOARD_MODEL)


def workload_for(bundle: Bundle, prompt: int | None, generate: int | None) -> GenerateWorkload:
    """The token trace for a decoder, checked against its context.

    Raises:
        UsageError: It does not fit the context.
    """
    manifest = bundle.manifest
    vocabulary = manifest.artifact.methods["decode"].outputs[0].shape[-1]
    exclude = manifest.tokenizer.stop_ids if manifest.tokenizer else ()
    context = manifest.context or PROMPT + GENERATE
    workload = synthetic(
        vocabulary,
        prompt=prompt or min(PROMPT, context // 2),
        generate=generate or min(GENERATE, context // 4),
        exclude=exclude,
    )
    check_fits(workload, context)
    return workload


class Measuring(TypedDict, total=False):
    """What ``bench`` can be told beside bundle and devices; see there."""

    prompt: int | None
    generate: int | None
    runs: int | None
    threads: int | None
    use: Use | None
    store: str | None


@dataclass(frozen=True)
class Bench:
    """What shall be measured; ``None`` for the default of a field.

    Attributes:
        prompt: Prompt tokens.
        generate: Tokens to generate.
        runs: Processes after the warm-up.
        threads: Worker threads.
        use: How the device is taken, and what is set on it meanwhile.
        method: Of an encoder with several lengths; ``each`` sets it.
        quality: Also let a classifier label its texts, if it has some.
    """

    bundle: Bundle
    prompt: int | None
    generate: int | None
    runs: int | None
    threads: int | None
    use: Use = USUAL
    method: str | None = None
    quality: bool = True

    def each(self) -> tuple[Bench, ...]:
        """One measurement for each length that the bundle has a method for; else this one.

        ``prompt`` chooses one: the shortest that so many tokens fit. Labelled texts, which go
        through all methods, are classified with the last.

        Raises:
            UsageError: So many tokens fit no method.
        """
        lengths = lengths_of(self.bundle.manifest)
        if not lengths:
            return (self,)
        longest = max(lengths.values())
        if self.prompt is not None and self.prompt > longest:
            raise UsageError(
                f"A text of {self.prompt} tokens does not fit: the longest method of "
                f"{self.bundle.manifest.name} takes {longest}.",
                hint=f"Give --prompt {longest} or less, or export with longer --lengths.",
            )
        names = list(lengths) if self.prompt is None else [method_for(lengths, self.prompt)]
        return tuple(
            dataclasses.replace(self, method=name, quality=name == names[-1]) for name in names
        )

    def subject(self, device: str) -> str:
        """What an attempt is called: the device, and the length where there are several."""
        lengths = lengths_of(self.bundle.manifest)
        return device if self.method is None else f"{device}, {lengths[self.method]} tokens"

    def check(self) -> None:
        """Refuse what cannot be measured, before a device is touched.

        Raises:
            UsageError: The workload does not fit the context, or no method.
        """
        if self.bundle.manifest.model.kind == "decoder":
            workload_for(self.bundle, self.prompt, self.generate)
        else:
            self.each()

    def show(self, device: Device, progress: Progress) -> None:
        """Tell what would be set on a device; changes nothing.

        Raises:
            DeviceError: It is away, has no such setting, or nothing of ours runs there.
        """
        refuse_without_runner(self.bundle, device)
        for change in planned(device, self.use):
            progress(Step(f"{device.name}: would set {change}", finished=True))

    def run(self, device: Device, progress: Progress) -> Record:
        """Push if need be, run processes after a warm-up, and describe it all in a record.

        Raises:
            UsageError: The workload does not fit.
            DeviceError: The device is away before the first process.
        """
        self.check()
        bundle = self.bundle
        with ready(bundle, device, progress, use=self.use) as on:
            # First, since a device that goes away in the middle has its record as well.
            provenance = _provenance(bundle, on)
            ends = () if on.lease is None else on.lease.ends
            program = on.deployment.runner_dir
            with watched(on.transport, program=program, ends=ends) as watch:
                counted = self._measure(on.runner, progress, _observe(watch))
            quality = self._quality(on.runner, counted, progress)
            answer = self._answer(on.runner, counted, progress)
        return make_record(
            dataclasses.replace(counted, notes=(*counted.notes, *answer)),
            bundle=bundle.manifest.name,
            manifest_sha256=_manifest_sha256(bundle),
            model=bundle.manifest.model,
            recipe=bundle.manifest.recipe,
            target=bundle.manifest.target,
            device=device.name,
            sizes={**size_values(_sizes(bundle)), **quality},
            provenance=provenance,
            watch=board_watch(watch.result(), watch.reason),
            watch_log=watch.log,
        )

    def _measure(self, runner: Runner, told: Progress, observe: Observe) -> Measurement:
        def tell(done: int, total: int, sample: ProcessSample) -> None:
            told(Step("measure", done, total, "runs", finished=done == total, note=sample.reason))

        bundle, runs = self.bundle, self.runs or RUNS
        threads = self.threads or bundle.manifest.threads
        if bundle.manifest.model.kind == "decoder":
            workload = workload_for(bundle, self.prompt, self.generate)
            return measure(
                runner,
                workload,
                processes=runs,
                threads=threads,
                progress=tell,
                observe=observe,
            )
        calls = golden_calls(bundle.manifest, bundle.golden())
        method = self.method or calls[0][0]
        inputs = next(given for name, given in calls if name == method)
        once = invoke_workload(method, inputs)
        return measure_invoke(
            runner,
            once,
            inputs,
            processes=runs,
            threads=threads,
            progress=tell,
            observe=observe,
        )

    def _answer(self, runner: Runner, counted: Measurement, told: Progress) -> tuple[str, ...]:
        if counted.status != "valid":
            return ()
        return answer_note(self.bundle, runner, self.threads or self.bundle.manifest.threads, told)

    def _quality(
        self, runner: Runner, counted: Measurement, told: Progress
    ) -> dict[str, MetricValue]:
        """What a classifier gets right; nothing where the bundle has no labelled texts."""
        generic = self.quality and self.bundle.manifest.model.kind == "generic"
        golden = self.bundle.golden() if generic else {}
        if counted.status != "valid" or not has_labelled(golden):
            return {}
        return measure_quality(
            runner,
            golden,
            lengths=lengths_of(self.bundle.manifest),
            threads=self.threads or self.bundle.manifest.threads,
            progress=lambda done, total: told(
                Step("classify", done, total, "texts", finished=done == total)
            ),
        )


def measure_all(
    asked: Bench,
    devices: Sequence[str],
    progress: Progress,
    keep: Callable[[Record], Record],
) -> tuple[Attempt[Record], ...]:
    """Measure on all devices at once; one length of a text after the other.

    Args:
        asked: What shall be measured.
        devices: Selectors.
        progress: Is told what is being done.
        keep: Stores a record.
    """
    return tuple(
        dataclasses.replace(attempt, subject=one.subject(attempt.subject))
        for one in asked.each()
        for attempt in at_once(devices, one.run, progress, then=keep)
    )


def judged(device: str, record: Record) -> Attempt[Record]:
    """A record, and beside one that counts for nothing an error that says so."""
    if record.status == "valid":
        return Attempt(device, record)
    said = (record.reason or "no reason is known").rstrip(".")
    error = DeviceError(
        f"No run on {device} counts: {said}.",
        hint=f"What is known of it is kept: slmdeploy runs show {record.id}",
    )
    return Attempt(device, record, error)


def _observe(watch: Watch) -> Observe:
    """Ends the watch, once the last process is over, and hands out what it saw."""

    def observe(samples: tuple[ProcessSample, ...]) -> tuple[ProcessSample, ...]:
        observed = watch.result()
        return with_sensors(samples, observed, watch.reason)

    return observe


def _sizes(bundle: Bundle) -> dict[str, int]:
    files = sum(info.bytes for info in bundle.manifest.files.values())
    return {"artifact_bytes": bundle.manifest.artifact.bytes, "bundle_bytes": files}


def _manifest_sha256(bundle: Bundle) -> str:
    return hashlib.sha256((bundle.path / MANIFEST_NAME).read_bytes()).hexdigest()


def _provenance(bundle: Bundle, on: Ready) -> dict[str, Any]:
    """What the figures depend on beside the bundle: device, host, versions."""
    tokenizer = bundle.manifest.tokenizer
    return {
        **bundle.manifest.provenance,
        "tokenizer_sha256": None if tokenizer is None else tokenizer.sha256,
        "measured_by": __version__,
        "host": {"name": platform.node(), "platform": platform.platform(), "cpus": os.cpu_count()},
        "runner": (on.deployment.runner_dir or "").rpartition("/")[2] or None,
        "device": _device_facts(on.transport),
        "changed": [str(change) for change in on.changes],
    }


def _device_facts(transport: Transport) -> dict[str, Any]:
    """Facts of the device; one that could not be had is its reason."""
    found = {}
    for fact in _FACTS:
        reading = read_fact(transport, fact)
        value = reading.value
        found[fact.name] = {
            "value": None if value is None else _plain(value),
            "reason": reading.reason,
        }
    return found


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
