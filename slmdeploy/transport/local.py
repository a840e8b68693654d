"""This computer as a device: commands are child processes, files are linked."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import platformdirs

from slmdeploy.errors import TransferError
from slmdeploy.transport.base import Progress
from slmdeploy.transport.files import link_or_copy, placed
from slmdeploy.transport.process import STDERR, STDOUT, CommandTransport, Deadline
from slmdeploy.transport.shell import run_here

if TYPE_CHECKING:
    from slmdeploy.transport.endpoint import Endpoint

__all__ = ["HOME_VARIABLE", "LocalProcess", "LocalTransport"]

HOME_VARIABLE = "SLMDEPLOY_HOME_LOCAL"
GRACE_SECONDS = 2.0
CHUNK_BYTES = 65536


class LocalTransport(CommandTransport):
    """Runs commands on this computer and links files into place.

    Args:
        name: Name of the device, for messages.
        root: The folder that slmdeploy owns. By default the environment variable
            ``SLMDEPLOY_HOME_LOCAL``, else ``device`` in the user's data folder.
    """

    def __init__(self, name: str = "local", root: Path | None = None) -> None:
        self._name = name
        self._root = root

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint) -> LocalTransport:
        """The transport of an entry of the inventory."""
        return cls(endpoint.name)

    @property
    def name(self) -> str:
        """Name of the device, for messages."""
        return self._name

    def home(self) -> str:
        """Absolute path of the folder that slmdeploy owns."""
        given = self._root or os.environ.get(HOME_VARIABLE)
        chosen = given or Path(platformdirs.user_data_dir("slmdeploy")) / "device"
        return str(Path(chosen).absolute())

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """Link the file (or copy it) beside its place, then rename it.

        Raises:
            TransferError: The file cannot be read, or its place not be written.
        """
        with _mapped(self._name, f"{source} could not be put at {destination}"):
            size = source.stat().st_size
            with placed(Path(destination)) as part:
                link_or_copy(source, part, mode)
        if progress is not None:
            progress(size, size)

    def get(self, source: str, destination: Path) -> None:
        """Copy the file beside its place, then rename it.

        Raises:
            TransferError: The file cannot be read, or its place not be written.
        """
        with (
            _mapped(self._name, f"{source} could not be fetched to {destination}"),
            placed(destination) as part,
        ):
            # Never a link: what is fetched must not change with the device.
            shutil.copyfile(source, part)

    def interactive(self, argv: Sequence[str]) -> int:
        """As ``Interactive.interactive``, on our own terminal."""
        return run_here(argv)

    def close(self) -> None:
        """Nothing is held."""

    def _start(
        self, argv: Sequence[str], stdin: bytes | None, env: Mapping[str, str] | None
    ) -> LocalProcess | _NotStarted:
        try:
            return LocalProcess(argv, stdin, env)
        except (FileNotFoundError, NotADirectoryError):
            return _NotStarted(127, f"{argv[0]}: not found")
        except OSError as error:
            reason = error.strerror or str(error)
            return _NotStarted(126, f"{argv[0]}: {reason}")
        except ValueError as error:  # a word with a NUL, which no command line can hold
            return _NotStarted(126, f"{argv[0]!r}: {error}")


class LocalProcess:
    """A child process in a session of its own, so that its whole group can be ended."""

    def __init__(
        self, argv: Sequence[str], stdin: bytes | int | None, env: Mapping[str, str] | None
    ) -> None:
        # A file as standard input needs no second thread to feed it.
        with _stdin_file(stdin) as source:
            self._child = subprocess.Popen(
                list(argv),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self._drained = False  # while false, something of the group may still run

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        """As in ``Process``."""
        if self._child.stdout is None or self._child.stderr is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ, STDOUT)
            selector.register(self._child.stderr, selectors.EVENT_READ, STDERR)
            while selector.get_map():
                for key, _ in selector.select(deadline.left()):
                    if data := os.read(key.fd, CHUNK_BYTES):
                        yield key.data, data
                    else:
                        selector.unregister(key.fileobj)
        self._drained = True

    def wait(self, deadline: Deadline) -> int:
        """As in ``Process``."""
        try:
            return self._child.wait(deadline.left())
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def stop(self) -> None:
        """Ask the group to end; after two seconds, make it."""
        if self._child.poll() is None or not self._drained:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(GRACE_SECONDS)
            self._signal(signal.SIGKILL)
            self._child.wait()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)


class _NotStarted:
    """A program that could not be started, told as a shell tells it."""

    def __init__(self, code: int, said: str) -> None:
        self._code = code
        self._said = said

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        del deadline
        yield STDERR, self._said.encode()

    def wait(self, deadline: Deadline) -> int:
        del deadline
        return self._code

    def stop(self) -> None:
        """Nothing runs."""


@contextlib.contextmanager
def _stdin_file(stdin: bytes | int | None) -> Iterator[IO[bytes] | int]:
    """A file with these bytes; a descriptor stands for itself."""
    if stdin is None or isinstance(stdin, int):
        yield subprocess.DEVNULL if stdin is None else stdin
        return
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        yield file


@contextlib.contextmanager
def _mapped(name: str, what: str) -> Iterator[None]:
    """Turn an error of the file system into ours."""
    try:
        yield
    except OSError as error:
        raise TransferError(f"{what} on {name}: {error.strerror or error}.") from error
