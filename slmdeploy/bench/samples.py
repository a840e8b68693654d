"""From the events of one process to one sample, with every stamp kept.

Pure: nothing here runs anything. What is computed from a sample is in ``derive``,
whether it counts is decided in ``validity``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from slmdeploy.bench.sensors import SensorSeries
from slmdeploy.runtime.protocol import Event

__all__ = [
    "Delegation",
    "LoadPhase",
    "MemoryStamp",
    "PrefillChunk",
    "ProcessSample",
    "Role",
    "RunSpan",
    "RunnerStart",
    "TokenStamp",
    "failed_sample",
    "sample_of",
]

Role = Literal["warmup", "timed"]


class _Part(BaseModel):
    # Runners may say more than we keep; a later protocol may, too.
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunnerStart(_Part):
    """The runner's first event. ``t_ns`` is of its monotonic clock, as all stamps are."""

    t_ns: int
    runtime: str | None = None
    runner_version: str | None = None
    arch: str | None = None
    threads: int | None = None
    pid: int | None = None


class LoadPhase(_Part):
    """A step of loading: ``program``, ``method`` or ``library``, and which one."""

    phase: str
    name: str | None = None
    start_ns: int
    end_ns: int


class Delegation(_Part):
    """What a delegate took of a method, where that is decided while the model is loaded.

    Attributes:
        delegate: Its name; ``None`` if it did not name itself, or there is none.
        delegates: Calls of it.
        delegated_ops: Operators of the method that run in it.
        total_ops: Operators of the method.
    """

    method: str
    delegate: str | None = None
    delegates: int
    delegated_ops: int
    total_ops: int


class MemoryStamp(_Part):
    """Memory of the process at the end of a phase, in bytes.

    Attributes:
        rss_bytes: Resident set: anonymous, file-backed and shared together.
        peak_rss_bytes: The kernel's high-water mark so far (``VmHWM``).
        major_faults: Page faults so far that had to read from a disk.
    """

    phase: str
    t_ns: int
    rss_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    peak_rss_bytes: int | None = None
    major_faults: int | None = None


class PrefillChunk(_Part):
    """One call of ``prefill``: the position of its first token, and how many it fed."""

    position: int
    tokens: int
    start_ns: int
    end_ns: int


class TokenStamp(_Part):
    """A generated token; ``t_ns`` is when it was known."""

    index: int
    id: int
    t_ns: int
    start_ns: int | None = None


class RunSpan(_Part):
    """One timed run of a method."""

    index: int
    start_ns: int
    end_ns: int


class ProcessSample(_Part):
    """One process on the device: everything it said, and whether it counts.

    Attributes:
        index: Counts the processes of a role from 0.
        outcome: ``failed`` if it did not finish, ``invalid`` if it did other work
            than was asked; neither enters a median.
        reason: Why it failed or is invalid.
        notes: Remarks that do not make it invalid.
        end_ns: When the runner was done.
        ended: Why it was: ``length``, ``stop``, ``context`` or ``complete``.
        sensors: What the board's sensors said meanwhile.
        unwatched: Why they said nothing, or not all.
    """

    kind: Literal["generate", "invoke"]
    role: Role
    index: int
    outcome: Literal["ok", "invalid", "failed"]
    reason: str | None = None
    notes: tuple[str, ...] = ()
    start: RunnerStart | None = None
    loads: tuple[LoadPhase, ...] = ()
    delegations: tuple[Delegation, ...] = ()
    memory: tuple[MemoryStamp, ...] = ()
    prefill: tuple[PrefillChunk, ...] = ()
    tokens: tuple[TokenStamp, ...] = ()
    runs: tuple[RunSpan, ...] = ()
    end_ns: int | None = None
    ended: str | None = None
    sensors: tuple[SensorSeries, ...] = ()
    unwatched: str | None = None


PartT = TypeVar("PartT", bound=_Part)


def sample_of(
    events: Iterable[Event],
    *,
    kind: Literal["generate", "invoke"],
    role: Role,
    index: int,
) -> ProcessSample:
    """Sort the events of a process that ended by itself into a sample.

    An ``error`` event, a missing ``done`` or a malformed event makes it ``failed``;
    unknown kinds of events are passed over.
    """
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event.data)
    try:
        parts = _parts(by_kind)
    except _MalformedError as error:
        return failed_sample(str(error), kind=kind, role=role, index=index)
    reason = _fault(by_kind)
    return ProcessSample(
        kind=kind,
        role=role,
        index=index,
        outcome="ok" if reason is None else "failed",
        reason=reason,
        **parts,
    )


def failed_sample(
    reason: str,
    *,
    kind: Literal["generate", "invoke"],
    role: Role,
    index: int,
    events: Iterable[Event] = (),
) -> ProcessSample:
    """A process that failed, with what it had said until then."""
    failed = {"outcome": "failed", "reason": reason}
    seen = tuple(events)
    if not seen:
        return ProcessSample(kind=kind, role=role, index=index, **failed)
    return sample_of(seen, kind=kind, role=role, index=index).model_copy(update=failed)


class _MalformedError(Exception):
    """An event lacks a field or has one of the wrong type."""


class _Done(_Part):
    t_ns: int
    reason: str


def _parts(by_kind: Mapping[str, list[Mapping[str, Any]]]) -> dict[str, Any]:
    starts = _read(RunnerStart, "start", by_kind)
    done = _read(_Done, "done", by_kind)
    return {
        "start": starts[0] if starts else None,
        "loads": _read(LoadPhase, "load", by_kind),
        "delegations": _read(Delegation, "delegation", by_kind),
        "memory": _read(MemoryStamp, "memory", by_kind),
        "prefill": _read(PrefillChunk, "prefill", by_kind),
        "tokens": _read(TokenStamp, "token", by_kind),
        "runs": _read(RunSpan, "run", by_kind),
        "end_ns": done[-1].t_ns if done else None,
        "ended": done[-1].reason if done else None,
    }


def _read(
    part: type[PartT], kind: str, by_kind: Mapping[str, list[Mapping[str, Any]]]
) -> tuple[PartT, ...]:
    try:
        return tuple(part.model_validate(dict(data)) for data in by_kind.get(kind, ()))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        raise _MalformedError(
            f"the runner's {kind!r} event is malformed: {field}: {first['msg']}"
        ) from error


def _fault(by_kind: Mapping[str, list[Mapping[str, Any]]]) -> str | None:
    """Why a process did not finish, by its own words."""
    if errors := by_kind.get("error"):
        return str(errors[0].get("message", "the runner reported an error without a message"))
    return None if "done" in by_kind else "the runner ended without saying that it was done"
