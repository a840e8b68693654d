"""A transport whose long commands live on the board, whatever the connection does."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from slmdeploy.device.runs.jobs import Job, JobEnd, start_job
from slmdeploy.device.runs.lease import Lease
from slmdeploy.device.runs.retry import AWAY_SECONDS, Patience, retried
from slmdeploy.errors import CommandError, ConnectError, DeviceError
from slmdeploy.transport.base import Progress, Result, Transport

__all__ = ["RUNNER", "DetachedTransport"]

RUNNER = "runner"
"""Name of these runs; such a run of its owner holds a lease (``lease_scripts``)."""

TIMEOUT = "timeout"


class DetachedTransport:
    """As the transport below it, but ``stream`` runs as a job (``jobs``).

    Args:
        below: The way to the device.
        live: Yield each line as it comes. Else all of them at the end, so that nothing
            wakes up the board while it is measured.
        lease: The lease under which it runs: given a sign of life before and after.
        away_s: How long the device may be away in the middle of a run, in seconds.
    """

    def __init__(
        self,
        below: Transport,
        *,
        live: bool,
        lease: Lease | None = None,
        away_s: float = AWAY_SECONDS,
    ) -> None:
        self._below = below
        self._live = live
        self._lease = lease
        self._away_s = away_s

    @property
    def name(self) -> str:
        """Name of the device, for messages."""
        return self._below.name

    def home(self) -> str:
        """Absolute path of the folder on the device that slmdeploy owns."""
        return self._below.home()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """As the transport below: short commands are not worth a folder."""
        return self._below.run(argv, stdin=stdin, timeout=timeout, env=env)

    def check(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """As the transport below."""
        return self._below.check(argv, stdin=stdin, timeout=timeout, env=env)

    def stream(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Yield the lines of a run that a lost connection neither ends nor doubles.

        Closing the iterator early ends the run and its group on the device. Its folder
        stays there, as evidence; those of the oldest runs make room.

        Raises:
            CommandError: A non-zero code, or no end in time: the device itself ended it.
            ConnectError: The device is away for too long; the run goes on there.
            DeviceError: The device was restarted, or the lease is not ours any more.
        """
        if self._lease is not None and not self._lease.fresh:
            self._verify()
        with contextlib.ExitStack() as stack:
            if self._lease is not None:
                stack.enter_context(self._lease.quiet())
            job = start_job(
                self._below,
                argv,
                stdin=stdin,
                env=env,
                timeout_s=timeout,
                name=RUNNER,
                away_s=self._away_s,
            )
            end = yield from self._followed(job)
        self._verify()
        _refuse_failed(argv, end, timeout)

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """As the transport below."""
        self._below.put(source, destination, mode=mode, progress=progress)

    def get(self, source: str, destination: Path) -> None:
        """As the transport below."""
        self._below.get(source, destination)

    def close(self) -> None:
        """As the transport below."""
        self._below.close()

    def _followed(self, job: Job) -> Generator[str, None, JobEnd]:
        try:
            return (yield from job.follow(live=self._live, away_s=self._away_s))
        except ConnectError:
            raise
        except BaseException:
            # Ctrl-C, or an iterator that was closed: nobody waits for the run any more.
            with contextlib.suppress(DeviceError):
                job.stop()
            raise

    def _verify(self) -> None:
        """Ask whether the board is still ours, and so as we set it."""
        if self._lease is not None:
            retried(self._lease.renew, Patience(self._away_s))


def _refuse_failed(argv: Sequence[str], end: JobEnd, timeout: float | None) -> None:
    if end.state.reason == TIMEOUT:
        raise CommandError(
            argv,
            -15,
            f"it had not ended after {timeout or 0:g} s and was stopped",
            hint="Give it more time, or look at what the device is busy with.",
        )
    if end.code == 0:
        return
    killed = end.code == 128 + 9 and end.state.oom_kills
    raise CommandError(argv, end.code, end.stderr, hint=_OOM_HINT if killed else None)


_OOM_HINT = (
    "The board ran out of memory: its kernel killed a process for want of it meanwhile. Export "
    "with a smaller --context or a smaller recipe."
)
