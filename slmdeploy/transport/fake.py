r"""A device for tests: a folder, a handler that answers commands, and faults on demand.

Write a test of your own code against it as you would use httpx's mock transport::

    def answer(command: Command) -> Result | None:
        if command.argv[0] == "vcgencmd":
            return Result(0, "throttled=0x50005\n", "")
        return None  # really run, in the device's folder

    device = FakeTransport(tmp_path, handler=answer)
    device.faults.cut_put_after_bytes = 1000
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.errors import ConnectError, TransferError
from slmdeploy.transport.base import Block, Progress, Result
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.files import part_name, placed
from slmdeploy.transport.local import LocalTransport
from slmdeploy.transport.process import STDERR, STDOUT, CommandTransport, Deadline, Process

__all__ = ["Command", "FakeTransport", "Faults", "Handler"]

BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Command:
    """A command that the device was asked to run."""

    argv: tuple[str, ...]
    stdin: bytes | None
    env: Mapping[str, str]


Handler = Callable[[Command], Result | None]
"""Answers a command, or gives ``None`` to have it really run on this computer."""


@dataclass
class Faults:
    """What goes wrong; may be changed at any time.

    Attributes:
        away: The device does not answer.
        free_bytes: Room on its disk; a ``put`` that needs more fails. ``None``: enough.
        cut_put_after_bytes: The connection is lost when so many bytes of the next
            ``put`` or ``pour`` have been sent; what came stays, as on a real device.
        cut_output_after_bytes: The connection is lost when the next command has
            written so many bytes.
    """

    away: bool = False
    free_bytes: int | None = None
    cut_put_after_bytes: int | None = None
    cut_output_after_bytes: int | None = None


class FakeTransport(CommandTransport):
    """A device in a folder of this computer.

    Args:
        root: The folder; ``home()`` lies in it.
        handler: Answers commands; by default all are run on this computer.
        name: Name of the device.

    Attributes:
        commands: What was run, in order.
        sent_bytes: Bytes of all ``put`` and ``pour``, cut ones included.
        faults: What goes wrong.
    """

    def __init__(self, root: Path, handler: Handler | None = None, name: str = "fake") -> None:
        self.root = root
        self.faults = Faults()
        self.commands: list[Command] = []
        self.sent_bytes = 0
        self._name = name
        self._handler = handler or (lambda _: None)
        self._local = LocalTransport(name, root / "home" / ".slmdeploy")

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint) -> FakeTransport:
        """The fake of an inventory; ``host`` is its folder, else a fresh one is made."""
        root = endpoint.host or tempfile.mkdtemp(prefix="slmdeploy-fake-")
        return cls(Path(root), name=endpoint.name)

    @property
    def name(self) -> str:
        """Name of the device, for messages."""
        return self._name

    def home(self) -> str:
        """Absolute path of the folder that slmdeploy owns."""
        self._present()
        return self._local.home()

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """Copy the file in blocks, so that a cut leaves what a real one leaves.

        Raises:
            TransferError: No room, or the file cannot be read or written.
            ConnectError: Cut, or away.
        """
        self._present()
        try:
            self._copy(source, Path(destination), mode, progress)
        except OSError as error:
            reason = error.strerror or error
            raise TransferError(f"{source} did not arrive on {self._name}: {reason}.") from error

    def pour(self, argv: Sequence[str], blocks: Iterable[Block]) -> Result:
        """Run a command on a stream, which may be cut as that of ``put``.

        Raises:
            ConnectError: Cut, or away. What came before the cut has reached the command.
        """
        self._present()
        data = bytearray()
        cut, self.faults.cut_put_after_bytes = self.faults.cut_put_after_bytes, None
        for block in blocks:
            data += block
            if cut is not None and len(data) > cut:
                self.sent_bytes += cut
                self.run(argv, stdin=bytes(data[:cut]))
                raise ConnectError(f"The connection to {self._name} was lost.")
        self.sent_bytes += len(data)
        return self.run(argv, stdin=bytes(data))

    def get(self, source: str, destination: Path) -> None:
        """Copy a file from the device's folder."""
        self._present()
        self._local.get(source, destination)

    def close(self) -> None:
        """Nothing is held."""

    def _copy(self, source: Path, destination: Path, mode: int, progress: Progress | None) -> None:
        size = source.stat().st_size
        free = self.faults.free_bytes
        if free is not None and size > free:
            raise TransferError(
                f"{source} ({size} bytes) does not fit on {self._name}: {free} bytes are free."
            )
        cut = self.faults.cut_put_after_bytes
        if cut is not None and cut < size:
            self._leave_part(source, destination, cut)
        with placed(destination) as part:
            with source.open("rb") as reader, part.open("wb") as writer:
                while block := reader.read(BLOCK_BYTES):
                    writer.write(block)
                    self.sent_bytes += len(block)
                    if progress is not None:
                        progress(writer.tell(), size)
            part.chmod(mode)
        if free is not None:
            self.faults.free_bytes = free - size

    def _leave_part(self, source: Path, destination: Path, cut: int) -> None:
        self.faults.cut_put_after_bytes = None
        destination.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as reader:
            Path(part_name(str(destination))).write_bytes(reader.read(cut))
        self.sent_bytes += cut
        raise ConnectError(f"The connection to {self._name} was lost while {source} was sent.")

    def _present(self) -> None:
        if self.faults.away:
            raise ConnectError(f"{self._name} does not answer.")

    def _start(
        self, argv: Sequence[str], stdin: bytes | None, env: Mapping[str, str] | None
    ) -> Process:
        self._present()
        command = Command(tuple(argv), stdin, dict(env or {}))
        self.commands.append(command)
        answer = self._handler(command)
        process: Process = (
            self._local._start(argv, stdin, env)  # noqa: SLF001  a fake is a local one at heart
            if answer is None
            else _Answered(answer)
        )
        cut, self.faults.cut_output_after_bytes = self.faults.cut_output_after_bytes, None
        return process if cut is None else _Cut(process, cut, self._name)


class _Answered:
    """A command that a handler answered."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        del deadline
        yield STDOUT, self._result.stdout.encode()
        yield STDERR, self._result.stderr.encode()

    def wait(self, deadline: Deadline) -> int:
        del deadline
        return self._result.code

    def stop(self) -> None:
        """Nothing runs."""


class _Cut:
    """A command whose connection is lost after so many bytes of output."""

    def __init__(self, process: Process, after_bytes: int, name: str) -> None:
        self._process = process
        self._left = after_bytes
        self._name = name

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        for source, data in self._process.chunks(deadline):
            if self._left:
                yield source, data[: self._left]
            self._left -= min(self._left, len(data))
            if not self._left:
                raise ConnectError(f"The connection to {self._name} was lost.")

    def wait(self, deadline: Deadline) -> int:
        return self._process.wait(deadline)

    def stop(self) -> None:
        self._process.stop()
