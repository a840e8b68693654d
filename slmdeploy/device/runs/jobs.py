"""Runs that live on the board: a dropped connection neither ends nor doubles them.

A run is a process in a session of its own, with a folder on the device::

    runs/ID/pid       its keeper: number, time it started, the boot's id, uptime (s)
    runs/ID/child     number of the process itself, which leads its group
    runs/ID/command   the words of the command, each ended by a NUL
    runs/ID/in        its standard input
    runs/ID/out, err  what it wrote
    runs/ID/code      its exit code (above 128: a signal); written last
    runs/ID/reason    "timeout" or "stopped", if we ended it
    runs/ID/oom       kills for want of memory that the kernel had counted before and after

The keeper is a small shell that waits for the process, ends its group when its time is
up, and writes the code. It needs no host.
"""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from slmdeploy.device.runs import job_scripts as scripts
from slmdeploy.device.runs.owner import owner_name
from slmdeploy.device.runs.retry import AWAY_SECONDS, Patience, retried
from slmdeploy.device.script import fields_of, script
from slmdeploy.errors import ConnectError, DeviceError
from slmdeploy.transport.base import Transport
from slmdeploy.transport.process import with_env

__all__ = ["FoundJob", "Job", "JobEnd", "JobState", "find_jobs", "start_job"]

KEPT_RUNS = 20
"""Runs that are over and stay on the board, as evidence."""

StateName = Literal["absent", "running", "ended", "lost", "restarted"]


@dataclass(frozen=True)
class JobState:
    """How a run is.

    Attributes:
        name: ``running``; ``ended`` with a code; ``lost``: its keeper is gone and left
            no code; ``restarted``: the board was, while it ran; ``absent``: no such run.
        code: Exit code; above 128 a signal.
        reason: ``timeout`` or ``stopped``, if we ended it.
        age_s: Seconds since it started; ``None`` if the board was restarted since.
        oom_kills: Processes that the kernel killed for want of memory meanwhile;
            ``None`` where it does not count them (before Linux 4.13).
    """

    name: StateName
    code: int | None = None
    reason: str | None = None
    age_s: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True)
class JobEnd:
    """How a run ended: its state, and the last 64 KiB of its standard error."""

    state: JobState
    stderr: str

    @property
    def code(self) -> int:
        """Exit code; above 128 a signal."""
        return -1 if self.state.code is None else self.state.code


@dataclass(frozen=True)
class Job:
    """A run on a device, by its name there; any host may hold one.

    Attributes:
        transport: The way to the device.
        id: Name of its folder.
    """

    transport: Transport
    id: str

    @property
    def folder(self) -> str:
        """Its folder on the device."""
        return f"{self.transport.home()}/runs/{self.id}"

    def state(self) -> JobState:
        """Ask the device how the run is.

        Raises:
            ConnectError: The device is away.
        """
        return self._end(None)[0].state

    def follow(
        self, *, live: bool = True, away_s: float = AWAY_SECONDS, skip: int = 0
    ) -> Generator[str, None, JobEnd]:
        """Yield the lines of its output as they come, then return how it ended.

        A lost connection is made again, and the output goes on at the next line: none
        is lost, none comes twice. Closing the iterator leaves the run alone.

        Args:
            live: Each line at once. Else all of them at the end: nothing wakes up the
                board while it runs.
            away_s: How long the device may be away, in seconds.
            skip: Lines that are known already.

        Raises:
            ConnectError: The device is away for longer; the run goes on.
            DeviceError: The board was restarted, the run was removed, or its keeper was
                killed and left no exit code.
        """
        given, patience = skip, Patience(away_s)
        while True:
            try:
                for line in self._watch(given + 1) if live else ():
                    given += 1
                    patience.renew()
                    yield line
                end, rest = self._end(given + 1, wait=not live)
            except ConnectError as error:
                patience.wait(_still_there(error, self))
                continue
            patience.renew()
            if end.state.name != "running":
                yield from rest
                self._refuse_lost(end)
                return end

    def stop(self) -> None:
        """End it and all of its group; does nothing if it is over.

        Raises:
            DeviceError: It cannot be ended, or the device is away.
        """
        result = self.transport.run(script(scripts.STOP, self.folder))
        if result.code != 0:
            raise DeviceError(f"The run {self.id} on {self.transport.name} does not end.")

    def remove(self) -> None:
        """Remove its folder.

        Raises:
            DeviceError: It still runs, or the device is away.
        """
        self.transport.check(script(scripts.REMOVE, self.folder))

    def _watch(self, line: int) -> Iterator[str]:
        argv = script(scripts.FOLLOW, self.folder, str(line))
        lines = self.transport.stream(argv)
        try:
            yield from lines
        finally:
            close = getattr(lines, "close", None)
            if close is not None:
                close()

    def _end(self, line: int | None, *, wait: bool = False) -> tuple[JobEnd, list[str]]:
        first = "-" if line is None else str(line)
        argv = script(scripts.END, self.folder, first, "wait" if wait else "-")
        result = self.transport.check(argv)
        told, _, out = result.stdout.partition("\n\n")
        rest = out.split("\n")
        if rest[-1] == "":
            del rest[-1]
        return JobEnd(_state(told), result.stderr), rest

    def _refuse_lost(self, end: JobEnd) -> None:
        board, said = self.transport.name, end.stderr.strip().splitlines()[-1:]
        if end.state.name == "restarted":
            raise DeviceError(
                f"{board} was restarted while the run {self.id} was on it.",
                hint=f"What it wrote until then is in {self.folder}.",
            )
        if end.state.name == "absent":
            raise DeviceError(
                f"The run {self.id} is not on {board} any more: it was removed, or the board "
                "lost its power before its disk had it."
            )
        if end.state.name == "lost":
            raise DeviceError(
                f"The run {self.id} on {board} was killed and left no exit code"
                + (f"; it said last: {said[0]}" if said else "."),
                hint=f"dmesg on {board} may say why; what it wrote is in {self.folder}.",
            )


@dataclass(frozen=True)
class FoundJob:
    """A run that is on a device: the handle, how it is, and whose it is.

    Attributes:
        job: The handle.
        state: How it is.
        name: What it is.
        owner: Who started it, as in ``lab@host (process 4711)``.
        command: The command, for people.
    """

    job: Job
    state: JobState
    name: str
    owner: str
    command: str


def start_job(
    transport: Transport,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout_s: float | None = None,
    name: str,
    away_s: float = AWAY_SECONDS,
) -> Job:
    """Start a command on a device in a session of its own, and come back at once.

    If the connection is lost meanwhile the device is asked again, and does not start it
    twice.

    Args:
        transport: The way to the device.
        argv: The program and its arguments.
        stdin: Its whole standard input; ``None`` for an empty one.
        env: Variables added to those that the device sets.
        cwd: Folder on the device to run in; ``None`` for the user's home.
        timeout_s: Seconds after which the device itself ends it and its group.
        name: What it is, in a word, as in ``runner``.
        away_s: How long the device may be away, in seconds.

    Raises:
        ConnectError: The device is away for longer.
        CommandError: The device cannot write its folder.
    """
    job = Job(transport, f"{name}-{uuid.uuid4().hex[:12]}")
    data = stdin or b""
    limit = "-" if timeout_s is None else _seconds(timeout_s)
    command = script(
        scripts.START,
        *(scripts.WRAPPER, f"{transport.home()}/runs", job.id, str(len(data)), str(KEPT_RUNS)),
        *(name, owner_name(), limit, cwd or "-", *with_env(argv, env)),
    )
    retried(lambda: transport.check(command, stdin=data), Patience(away_s))
    return job


def find_jobs(transport: Transport) -> tuple[FoundJob, ...]:
    """Runs that are on a device, those that are over too, by their names.

    Raises:
        ConnectError: The device is away.
    """
    text = transport.check(script(scripts.LIST, f"{transport.home()}/runs")).stdout
    found = []
    for block in _blocks(text):
        job_id, _, rest = block.partition("\n")
        known = fields_of(rest)
        found.append(
            FoundJob(
                job=Job(transport, job_id),
                state=_state(rest),
                name=known.get("name", ""),
                owner=known.get("owner", ""),
                command=known.get("command", "").strip(),
            )
        )
    return tuple(found)


def _blocks(text: str) -> list[str]:
    return [block for block in ("\n" + text).split("\nrun ") if block.strip()]


def _state(text: str) -> JobState:
    known = fields_of(text)
    before, _, after = known.get("oom", "").partition(" ")
    counted = before.isdigit() and after.isdigit()
    return JobState(
        name=cast("StateName", known.get("state", "absent")),
        code=_number(known.get("code")),
        reason=known.get("reason"),
        age_s=_number(known.get("age")),
        oom_kills=int(after) - int(before) if counted else None,
    )


def _number(text: str | None) -> int | None:
    with contextlib.suppress(ValueError):
        return None if text is None else int(text)
    return None


def _seconds(seconds: float) -> str:
    return str(math.ceil(seconds)) if seconds >= 10 else f"{seconds:.2f}"


def _still_there(error: ConnectError, job: Job) -> ConnectError:
    if not error.hint or job.id not in error.hint:
        error.hint = f"The run {job.id} goes on there: slmdeploy devices jobs {job.transport.name}"
    return error
