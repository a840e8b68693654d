"""A command that runs on a device, whatever carries it there.

A transport starts a ``Process``; what ``run``, ``check`` and ``stream`` mean is
written once, here, so that every transport means the same by them.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from slmdeploy.errors import CommandError
from slmdeploy.transport.base import Result

__all__ = [
    "STDERR",
    "STDOUT",
    "STOP",
    "CommandTransport",
    "Deadline",
    "Process",
    "collected",
    "split_lines",
    "with_env",
]

STDOUT = 1
STDERR = 2
STDERR_KEPT_BYTES = 65536

STOP = r"""
alive() { kill -s 0 -- "-$1" 2>/dev/null || kill -s 0 "$1" 2>/dev/null; }
send() { kill -s "$2" -- "-$1" 2>/dev/null || kill -s "$2" "$1" 2>/dev/null; }
send "$1" TERM
n=0
while [ $n -lt 20 ] && alive "$1"; do sleep 0.1 2>/dev/null || sleep 1; n=$((n + 1)); done
send "$1" KILL
exit 0
"""
"""What a device runs to end a command: ``$1`` is its process, which leads its group."""


class Deadline:
    """A moment on the monotonic clock, or never.

    Args:
        seconds: From now; ``None`` for never.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds that are left; ``None`` for any number of them.

        Raises:
            TimeoutError: None are left.
        """
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Process(Protocol):
    """One running command; its standard input is fed by the transport."""

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        """Yield (``STDOUT`` or ``STDERR``, bytes) until both are at their end.

        Raises:
            TimeoutError: The deadline passed.
        """

    def wait(self, deadline: Deadline) -> int:
        """Exit code, negative for a signal.

        Raises:
            TimeoutError: The deadline passed.
        """

    def stop(self) -> None:
        """End the command and all of its group; does nothing if it has ended."""


def with_env(argv: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
    """A command with variables added, for devices that take words alone."""
    words = ["env", *(f"{key}={value}" for key, value in env.items())] if env else []
    return [*words, *argv]


def collected(process: Process, deadline: Deadline) -> Result:
    """All that a command says, and its exit code.

    Raises:
        TimeoutError: The deadline passed.
    """
    taken: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
    for source, data in process.chunks(deadline):
        taken[source].append(data)
    code = process.wait(deadline)
    return Result(code, _text(b"".join(taken[STDOUT])), _text(b"".join(taken[STDERR])))


def split_lines(chunks: Iterable[bytes]) -> Generator[str, None, str]:
    r"""Cut a stream of bytes into lines without their ``\n``; return what follows the last."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _text(line)
    return _text(rest)


class CommandTransport(ABC):
    """``run``, ``check`` and ``stream`` on top of one method that starts a command."""

    @abstractmethod
    def _start(
        self, argv: Sequence[str], stdin: bytes | None, env: Mapping[str, str] | None
    ) -> Process:
        """Start a command; a program that is not there ends with code 127."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command to its end, whatever its exit code.

        Args:
            argv: The program and its arguments, passed on as they are.
            stdin: Its whole standard input; ``None`` for an empty one.
            timeout: Seconds after which it is ended.
            env: Variables added to those that the device sets.

        Raises:
            CommandError: It did not end in time; it was stopped.
            ConnectError: The device went away.
        """
        deadline = Deadline(timeout)
        with self._running(argv, stdin, env, deadline) as process:
            return collected(process, deadline)

    def check(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """As ``run``, but a non-zero code raises ``CommandError``."""
        result = self.run(argv, stdin=stdin, timeout=timeout, env=env)
        if result.code != 0:
            raise CommandError(argv, result.code, result.stderr)
        return result

    def stream(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Yield stdout line by line as it comes; a non-zero code raises at the end.

        The arguments are those of ``run``. The command starts with the first ``next``.
        Closing the iterator early ends the command and its group on the device.

        Raises:
            CommandError: A non-zero code, or no end in time.
            ConnectError: The device went away.
        """
        deadline = Deadline(timeout)
        said = bytearray()

        def out(process: Process) -> Iterator[bytes]:
            for source, data in process.chunks(deadline):
                if source == STDOUT:
                    yield data
                else:
                    said.extend(data)
                    del said[:-STDERR_KEPT_BYTES]

        with self._running(argv, stdin, env, deadline) as process:
            rest = yield from split_lines(out(process))
            code = process.wait(deadline)
            # Not before: of a connection that was lost, half a line must not look whole.
            if rest:
                yield rest
        if code != 0:
            raise CommandError(argv, code, _text(bytes(said)))

    @contextmanager
    def _running(
        self,
        argv: Sequence[str],
        stdin: bytes | None,
        env: Mapping[str, str] | None,
        deadline: Deadline,
    ) -> Iterator[Process]:
        """Start a command, and leave nothing of it behind however the block ends."""
        process = self._start(argv, stdin, env)
        try:
            yield process
        except TimeoutError as error:
            process.stop()
            raise CommandError(
                argv,
                -15,
                f"it had not ended after {deadline.seconds:g} s and was stopped",
                hint="Give it more time, or look at what the device is busy with.",
            ) from error
        finally:
            process.stop()


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
