"""A command on a device, over ``adb shell`` with its shell protocol (Android 7 and newer).

The protocol keeps stdout and stderr apart and brings an exit code. Three things it does not
say are added by the script that starts the command: its process id, so that its group can be
ended; that code 255 was the command's own, since ``adb`` ends with 255 as well when the device
goes away; and nothing else, since a signal cannot be told from a code above 128 here: adbd
itself sends 128 plus the signal (AOSP ``adb/daemon/shell_service.cpp``). Such codes are taken
for signals, as a program that ends by itself has no reason to use them.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator, Mapping, Sequence

from slmdeploy.errors import ConnectError, SlmdeployError
from slmdeploy.transport.adb.errors import translate
from slmdeploy.transport.adb.program import Program
from slmdeploy.transport.adb.words import command_line
from slmdeploy.transport.local import LocalProcess
from slmdeploy.transport.process import STDERR, STDOUT, STOP, Deadline, with_env

__all__ = ["AdbProcess", "code_of", "lost"]

STOP_SECONDS = 8.0
LOST = 255  # also what adb ends with when the device goes away

# In a subshell that becomes the command. What the outer shell says of signals goes nowhere.
START = r"""
printf 'slmdeploy-process:%s\n' "$$"
exec 3>&2 2>/dev/null
(exec "$@") 2>&3 3>&-
code=$?
[ "$code" != 255 ] || printf 'slmdeploy-ended:255' >&3
exit "$code"
"""
STARTED = re.compile(rb"slmdeploy-process:(\d+)\r?\n")
ENDED = b"slmdeploy-ended:255"

_SIGNALS = frozenset(int(number) for number in signal.valid_signals() if number < 32)


class AdbProcess:
    """As in ``Process``.

    Args:
        program: ``adb``, for the device.
        argv: The command.
        stdin: Its whole standard input, or a file descriptor; ``None`` for an empty one.
        env: Variables to add.
    """

    def __init__(
        self,
        program: Program,
        argv: Sequence[str],
        stdin: bytes | int | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self._program = program
        self._argv = argv
        self._pid: int | None = None
        self._ended = False
        self._own_255 = False
        line = command_line(["sh", "-c", START, "slmdeploy", *with_env(argv, env)])
        self._local = LocalProcess(program.argv("shell", "-T", f"exec {line}"), stdin, None)

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        """As in ``Process``."""
        before, complaint, tail = b"", b"", b""
        for source, data in self._local.chunks(deadline):
            if source == STDERR and self._pid is None:
                complaint += data
            elif source == STDERR:
                tail += data
                if len(tail) > len(ENDED):
                    yield STDERR, tail[: -len(ENDED)]
                    tail = tail[-len(ENDED) :]
            elif self._pid is not None:
                yield STDOUT, data
            else:
                before += data
                if found := STARTED.search(before):
                    self._pid = int(found[1])
                    tail = _without_reports(complaint)
                    if rest := before[found.end() :]:
                        yield STDOUT, rest
        if self._pid is None:
            raise self._not_started(before, complaint)
        self._own_255 = tail.endswith(ENDED)
        if left := tail.removesuffix(ENDED):
            yield STDERR, left

    def wait(self, deadline: Deadline) -> int:
        """As in ``Process``.

        Raises:
            ConnectError: The device went away before the command ended.
        """
        code = self._local.wait(deadline)
        if code < 0 or (code == LOST and not self._own_255):
            raise lost(self._program, self._argv)
        self._ended = True
        return code_of(code)

    def stop(self) -> None:
        """As in ``Process``; nothing is raised if the device is away."""
        if not self._ended and self._pid is not None:
            line = command_line(["sh", "-c", STOP, "slmdeploy", str(self._pid)])
            with contextlib.suppress(SlmdeployError):
                self._program.ask("shell", "-T", f"exec {line}", timeout=STOP_SECONDS)
        self._ended = True
        self._local.stop()

    def _not_started(self, said: bytes, complaint: bytes) -> SlmdeployError:
        text = (complaint or said).decode("utf-8", "replace")
        return translate(text, self._program.where, f"run {self._argv[0]!r} on")


def code_of(code: int) -> int:
    """An exit code of a shell as ``Result`` has it: a signal is negative."""
    return 128 - code if code - 128 in _SIGNALS else code


def lost(program: Program, argv: Sequence[str]) -> ConnectError:
    """The error for a device that went away while a command ran."""
    return ConnectError(
        f"The connection to {program.where} was lost while {argv[0]!r} ran.",
        hint="Is the cable in, and the device still up? The command may still be running there.",
    )


def _without_reports(complaint: bytes) -> bytes:
    """Without what ``adb`` says of its own server when it starts one."""
    lines = complaint.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"* "))
