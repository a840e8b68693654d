"""An Android device over ``adb``: commands by its shell, files by its sync protocol.

Only what ``adb shell`` may do is done: no root is asked for. All of ours lies below
``/data/local/tmp``, which is the one folder where Android lets the shell user (uid 2000) write
*and* execute: shared storage (``/sdcard``) is mounted ``noexec``, the rest belongs to apps.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from slmdeploy.errors import ConnectError, TransferError
from slmdeploy.transport.adb.errors import said_by_adb, state_error, translate
from slmdeploy.transport.adb.old import OldAdbProcess
from slmdeploy.transport.adb.pour import pour
from slmdeploy.transport.adb.process import AdbProcess
from slmdeploy.transport.adb.program import Program
from slmdeploy.transport.adb.words import command_line
from slmdeploy.transport.base import Block, Progress, Result
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.files import part_name, placed
from slmdeploy.transport.process import CommandTransport, Process
from slmdeploy.transport.shell import has_terminal, run_here

__all__ = ["HOME", "HOME_VARIABLE", "AdbTransport", "serial_of"]

HOME = "/data/local/tmp/slmdeploy"
HOME_VARIABLE = "SLMDEPLOY_HOME_ADB"
"""Environment variable with another folder of the device: for tests and odd devices."""
SHELL_SECONDS = 30.0
TEMPORARY = "tmp/adb"

# $1: what was sent; $2: permissions; $3: its place.
PLACE = '[ ! -d "$3" ] && chmod "$2" "$1" && mv -f "$1" "$3"'


class AdbTransport(CommandTransport):
    """Runs commands and moves files by Google's ``adb``.

    Args:
        endpoint: ``host`` is the device's serial, or ``HOST:PORT`` of one in the network (the
            port may also stand in ``port``); ``None`` for the only one that is attached.

    Raises:
        HostError: ``adb`` is not installed.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._name = endpoint.name
        serial = serial_of(endpoint)
        where = endpoint.name if serial is None else f"{endpoint.name} ({serial})"
        self._adb = Program(serial, where)
        self._home = os.environ.get(HOME_VARIABLE) or HOME
        self._has_protocol: bool | None = None

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint) -> AdbTransport:
        """The way to a device of the inventory, proved to be there.

        Raises:
            HostError: ``adb`` is not installed, or may not use the USB port.
            ConnectError: The device is away, offline, or one of several.
            AuthError: It has not allowed this computer.
        """
        transport = cls(endpoint)
        transport.connect()
        return transport

    @property
    def name(self) -> str:
        """Name of the device, for messages."""
        return self._name

    def connect(self) -> None:
        """Ask for the device's state and what its adbd can do; a network device is dialled."""
        answer = self._adb.ask("get-state")
        if answer.code != 0 and _is_network(self._adb.serial):
            # It says in words how it went, and ends with 0 whatever they are.
            dialled = self._adb.ask("connect", str(self._adb.serial))
            answer = self._adb.ask("get-state")
            if answer.code != 0:
                said = dialled.out + dialled.err + answer.err
                raise translate(said, self._adb.where, "reach")
        if answer.code != 0:
            raise translate(answer.err or answer.out, self._adb.where, "reach")
        state = answer.out.strip()
        if state != "device":
            raise state_error(state, self._adb.where)
        features = self._adb.ask("features")
        # An adb that is too old for the verb is too old for the protocol.
        self._has_protocol = features.code == 0 and "shell_v2" in features.out.split()

    def home(self) -> str:
        """``/data/local/tmp/slmdeploy``; see the module for why."""
        return self._home

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """Push a file beside its place, then rename it; ``adb`` tells no progress on the way.

        Raises:
            TransferError: The file cannot be read, or its place not be written.
            ConnectError: The device went away; what was at the place is still there.
        """
        try:
            size = source.stat().st_size
        except OSError as error:
            raise self._failed(f"put {source} on", error.strerror or str(error)) from error
        part = part_name(destination)
        folder = destination.rpartition("/")[0] or "/"
        try:
            self._shell(f"make {folder} on", "mkdir", "-p", folder)
            self._transfer(f"put {source} on", "push", str(source), part)
            self._shell(
                f"put {source} on", "sh", "-c", PLACE, "slmdeploy", part, f"{mode:o}", destination
            )
        except TransferError:
            with contextlib.suppress(ConnectError):
                self.run(["rm", "-f", part], timeout=SHELL_SECONDS)
            raise
        if progress is not None:
            progress(size, size)

    def get(self, source: str, destination: Path) -> None:
        """Pull a file beside its place, then rename it.

        Raises:
            TransferError: The file cannot be read or written.
            ConnectError: The device went away; what was at the place is still there.
        """
        doing = f"get {source} from"
        try:
            with placed(destination) as part:
                if self.run(["test", "-d", source], timeout=SHELL_SECONDS).code == 0:
                    raise self._failed(doing, "Is a directory")
                self._transfer(doing, "pull", source, str(part))
        except OSError as error:
            raise self._failed(doing, error.strerror or str(error)) from error

    def pour(self, argv: Sequence[str], blocks: Iterable[Block]) -> Result:
        """As ``Pours.pour``. Without the shell protocol all is kept in a file here first.

        Raises:
            ConnectError: The device went away, or took nothing for a long time.
        """
        if self._protocol():
            return pour(self._adb, argv, blocks)
        with tempfile.TemporaryFile() as file:
            file.writelines(blocks)
            file.seek(0)
            return self.run(argv, stdin=file.read())

    def interactive(self, argv: Sequence[str]) -> int:
        """As ``Interactive.interactive``."""
        terminal = "-t" if has_terminal() else "-T"
        return run_here(self._adb.argv("shell", terminal, f"exec {command_line(argv)}"))

    def close(self) -> None:
        """Nothing is held: adb's own server keeps the connection."""

    def _start(
        self, argv: Sequence[str], stdin: bytes | None, env: Mapping[str, str] | None
    ) -> Process:
        if self._protocol():
            return AdbProcess(self._adb, argv, stdin, env)
        folder = f"{self._home}/{TEMPORARY}-{uuid.uuid4().hex[:12]}"
        return OldAdbProcess(self._adb, folder, argv, stdin, env)

    def _protocol(self) -> bool:
        if self._has_protocol is None:
            self.connect()
        return bool(self._has_protocol)

    def _shell(self, doing: str, *argv: str) -> None:
        result = self.run(argv, timeout=SHELL_SECONDS)
        if result.code != 0:
            reason = result.stderr.strip().splitlines()[-1:] or ["its place is a folder"]
            raise self._failed(doing, reason[0])

    def _transfer(self, doing: str, *words: str) -> None:
        """Push or pull; whether a failure is the device's going away is asked of its state."""
        done = self._adb.ask(*words, timeout=None)
        if done.code == 0:
            return
        said = said_by_adb(done.err or done.out)
        if self._adb.ask("get-state").out.strip() != "device":
            raise ConnectError(
                f"Could not {doing} {self._adb.where}: the connection was lost (adb: {said}).",
                hint="The file that was there is untouched. Run the same command again.",
            )
        raise self._failed(doing, said.removeprefix("adb: error: "))

    def _failed(self, doing: str, reason: str) -> TransferError:
        return TransferError(f"Could not {doing} {self._adb.where}: {reason.rstrip('.')}.")


def serial_of(endpoint: Endpoint) -> str | None:
    """What ``adb -s`` is given for a device; ``None`` for the only one."""
    if endpoint.host is None or endpoint.port is None:
        return endpoint.host
    return f"{endpoint.host}:{endpoint.port}"


def _is_network(serial: str | None) -> bool:
    """Whether a serial is ``HOST:PORT``, which ``adb connect`` takes."""
    host, _, port = (serial or "").rpartition(":")
    return bool(host) and port.isdecimal()
