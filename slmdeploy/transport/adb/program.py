"""The ``adb`` program of this computer: found, and asked for short answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from slmdeploy.errors import ConnectError, HostError

__all__ = ["ANSWER_SECONDS", "Answer", "Program", "find_adb"]

ANSWER_SECONDS = 20.0
"""For a short answer; starting the adb server takes some of it."""

# Of these the Android SDK's own documentation names ANDROID_HOME; the other is its old name.
_SDK_VARIABLES = ("ANDROID_HOME", "ANDROID_SDK_ROOT")


class Answer:
    """What ``adb`` said: exit code, stdout and stderr as text."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


def find_adb() -> str:
    """Path of the program: on ``PATH``, else in the Android SDK.

    Raises:
        HostError: It is not installed.
    """
    found = shutil.which("adb")
    if found is not None:
        return found
    for variable in _SDK_VARIABLES:
        tools = Path(os.environ.get(variable) or "/nonexistent") / "platform-tools"
        inside = shutil.which("adb", path=str(tools))
        if inside is not None:
            return inside
    raise HostError(
        "The program adb was found neither on PATH nor in ANDROID_HOME/platform-tools.",
        hint="Install it (Debian: apt-get install adb; macOS: brew install android-platform-tools; "
        "or Google's SDK Platform-Tools), or set ANDROID_HOME.",
    )


class Program:
    """``adb`` for one device.

    Args:
        serial: Of the device; ``None`` for the only one that is attached.
        where: The device, for messages.
    """

    def __init__(self, serial: str | None, where: str) -> None:
        self.serial = serial
        self.where = where
        self._path = find_adb()

    def argv(self, *words: str) -> list[str]:
        """The command line of a verb."""
        chosen = [] if self.serial is None else ["-s", self.serial]
        return [self._path, *chosen, *words]

    def ask(self, *words: str, timeout: float | None = ANSWER_SECONDS) -> Answer:
        """Run a verb to its end.

        Raises:
            ConnectError: No end within the time (seconds).
            HostError: The program cannot be run.
        """
        argv = self.argv(*words)
        try:
            done = subprocess.run(  # its session is its own: Ctrl-C is for us
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise ConnectError(
                f"adb {words[0]} had no answer from {self.where} after {timeout:g} s.",
                hint="Run: adb reconnect, or adb kill-server; then look at: adb devices -l",
            ) from error
        except OSError as error:
            raise _unusable(argv, error) from error
        return Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def _unusable(argv: Sequence[str], error: OSError) -> HostError:
    return HostError(
        f"{argv[0]} cannot be run: {error.strerror or error}.",
        hint="Install the adb that is made for this computer.",
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
