"""A phone behind the Android debug bridge: the ``adb`` program of this computer.

Verbs used: ``shell``, ``push``, ``pull``. ``adb shell`` hands the exit code of a command on
since Android 7 (protocol "shell_v2"); a signal is 128 and its number there, as shells have
it. Source: the manual page of adb (developer.android.com/tools/adb).
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slmdeploy.errors import AuthError, ConnectError, HostError, SlmdeployError, TransferError
from slmdeploy.transport.base import Progress
from slmdeploy.transport.files import part_name, placed
from slmdeploy.transport.local import LocalProcess
from slmdeploy.transport.process import STDERR, CommandTransport, Deadline, collected

if TYPE_CHECKING:
    from slmdeploy.transport.endpoint import Endpoint

__all__ = ["ADB_VARIABLE", "AdbTransport"]

ADB_VARIABLE: Final = "SLMDEPLOY_ADB"
"""Names the ``adb`` program where it is not found by that name."""

HOME: Final = "/data/local/tmp/slmdeploy"
"""Where the shell user of any Android may write and run programs."""

_AWAY = re.compile(
    r"^(adb: |error: )(device .*not found|no devices/emulators found|device offline|"
    r"more than one device|closed|protocol fault|cannot connect)",
    re.MULTILINE,
)
_UNAUTHORIZED = re.compile(r"^(adb: |error: )device unauthorized", re.MULTILINE)


class AdbTransport(CommandTransport):
    """Runs commands and moves files by ``adb``.

    Args:
        name: Name of the device, for messages.
        serial: As ``adb devices`` lists it; ``None`` for the only one.
        root: The folder on the device that slmdeploy owns.
    """

    def __init__(self, name: str, serial: str | None, root: str = HOME) -> None:
        self._name = name
        self._root = root
        self._adb = [_program(), *(["-s", serial] if serial else [])]

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint) -> AdbTransport:
        """The transport of an entry of the inventory, whose ``host`` is the serial number."""
        return cls(endpoint.name, endpoint.host)

    @property
    def name(self) -> str:
        """Name of the device, for messages."""
        return self._name

    def home(self) -> str:
        """Absolute path of the folder that slmdeploy owns."""
        return self._root

    def put(
        self,
        source: Path,
        destination: str,
        *,
        mode: int = 0o644,
        progress: Progress | None = None,
    ) -> None:
        """Copy the file beside its place, then rename it.

        Raises:
            TransferError: The file cannot be read, or its place not be written.
            ConnectError: The device is away.
        """
        part, size = part_name(destination), source.stat().st_size
        self.check(["mkdir", "-p", posixpath.dirname(destination)])
        try:
            self._move(["push", str(source), part], f"{source} could not be put at {destination}")
            self.check(["chmod", f"{mode:o}", part])
            self.check(["mv", "-f", part, destination])
        except SlmdeployError:
            self._forget(part)
            raise
        if progress is not None:
            progress(size, size)

    def get(self, source: str, destination: Path) -> None:
        """Copy the file beside its place, then rename it.

        Raises:
            TransferError: The file cannot be read, or its place not be written.
            ConnectError: The device is away.
        """
        with placed(destination) as part:
            self._move(
                ["pull", source, str(part)], f"{source} could not be fetched to {destination}"
            )

    def close(self) -> None:
        """Nothing is held."""

    def _start(
        self, argv: Sequence[str], stdin: bytes | None, env: Mapping[str, str] | None
    ) -> _AdbProcess:
        settings = [f"{key}={value}" for key, value in (env or {}).items()]
        words = [*(["env", *settings] if settings else []), *argv]
        # adb joins its words with spaces, and the shell there takes them apart again.
        child = LocalProcess([*self._adb, "shell", shlex.join(words)], stdin, None)
        return _AdbProcess(child, self._name)

    def _move(self, words: Sequence[str], what: str) -> None:
        """Run ``push`` or ``pull``."""
        process = _AdbProcess(LocalProcess([*self._adb, *words], None, None), self._name)
        try:
            result = collected(process, Deadline(None))
        finally:
            process.stop()
        if result.code != 0:
            said = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no reason"]
            reason = said[0].removeprefix("adb: ").removeprefix("error: ")
            raise TransferError(f"{what} on {self._name}: {reason}.")

    def _forget(self, path: str) -> None:
        try:
            self.run(["rm", "-f", path])
        except SlmdeployError:
            return  # the first error tells more


class _AdbProcess:
    """A run of ``adb``, which tells apart what it says itself from what the device does."""

    def __init__(self, child: LocalProcess, name: str) -> None:
        self._child = child
        self._name = name
        self._said = b""

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        """As in ``Process``."""
        for source, data in self._child.chunks(deadline):
            if source == STDERR:
                self._said = (self._said + data)[-4096:]
            yield source, data

    def wait(self, deadline: Deadline) -> int:
        """As in ``Process``."""
        code = self._child.wait(deadline)
        said = self._said.decode("utf-8", "replace")
        if code != 0 and _UNAUTHORIZED.search(said):
            raise AuthError(
                f"{self._name} does not trust this computer.",
                hint="Allow USB debugging in the dialog on the device's screen.",
            )
        if code != 0 and _AWAY.search(said):
            raise ConnectError(
                f"{self._name} does not answer: {said.strip().splitlines()[0]}.",
                hint="Run: adb devices. The serial number there is host in devices.toml.",
            )
        return code

    def stop(self) -> None:
        """As in ``Process``."""
        self._child.stop()


def _program() -> str:
    found = shutil.which(os.environ.get(ADB_VARIABLE) or "adb")
    if found is None:
        raise HostError(
            "There is no adb on this computer.",
            hint=f"Install Android's platform tools, or set {ADB_VARIABLE} to the program.",
        )
    return found
