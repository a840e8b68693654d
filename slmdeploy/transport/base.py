"""What a transport can do: run a command, move a file.

A command is a sequence of words, never a string to be split. Errors of the library
behind a transport come out as ``ConnectError``, ``HostKeyError``, ``AuthError``,
``CommandError`` or ``TransferError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = ["Block", "Pours", "Progress", "Result", "Transport"]

Block = bytes | memoryview
"""A piece of a stream."""

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


@dataclass(frozen=True)
class Result:
    """What a command gave: exit code (negative for a signal), stdout, stderr."""

    code: int
    stdout: str
    stderr: str


class Transport(Protocol):
    """A way to one device. Paths of the device are POSIX strings."""

    @property
    def name(self) -> str:
        """Name of the device, for messages."""

    def home(self) -> str:
        """Absolute path of the folder on the device that slmdeploy owns."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command to its end, whatever its exit code."""

    def check(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """As ``run``, but a non-zero code raises ``CommandError``."""

    def stream(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Yield stdout line by line as it comes; a non-zero code raises at the end.

        Closing the iterator early ends the command on the device.
        """

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """Copy a file to the device: beside its place first, then renamed."""

    def get(self, source: str, destination: Path) -> None:
        """Copy a file from the device: beside its place first, then renamed."""

    def close(self) -> None:
        """Let go of the connection; may be called twice."""


@runtime_checkable
class Pours(Protocol):
    """A transport that can stream data into a command as fast as the link allows."""

    def pour(self, argv: Sequence[str], blocks: Iterable[Block]) -> Result:
        """Run a command whose standard input is made while it runs.

        An error that ``blocks`` raises ends the command and passes through. If the
        command ends before it has read all, the rest is not sent.
        """
