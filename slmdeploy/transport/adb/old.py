"""A command on a device whose adbd has no shell protocol (before Android 7).

``adb exec-out`` gives what a command writes, byte by byte, and no more: no exit code, no
stderr apart, no standard input, and no long command lines. So the command travels as a file,
its input and its stderr are files too, and a trailer with a random name brings the exit code,
then stderr. Needs Android 5, which ``exec-out`` came with.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from slmdeploy.errors import SlmdeployError
from slmdeploy.transport.adb.errors import translate
from slmdeploy.transport.adb.process import code_of, lost
from slmdeploy.transport.adb.program import Program
from slmdeploy.transport.adb.words import command_line, quoted
from slmdeploy.transport.local import LocalProcess
from slmdeploy.transport.process import STDERR, STDOUT, STOP, Deadline, with_env

__all__ = ["OldAdbProcess"]

STOP_SECONDS = 8.0

# $1: folder of the call; $2: name of the trailer; rest: the command.
RUN = r"""
folder=$1 trailer=$2
shift 2
printf 'slmdeploy-process:%s\n' "$$"
if [ -f "$folder/in" ]; then exec <"$folder/in"; else exec </dev/null; fi
exec 3>"$folder/err" 2>/dev/null
(exec "$@") 2>&3 3>&-
code=$?
printf '%s:%d\n' "$trailer" "$code"
cat "$folder/err"
rm -rf "$folder"
"""
STARTED = re.compile(rb"slmdeploy-process:(\d+)\r?\n")


class OldAdbProcess:
    """As in ``Process``.

    Args:
        program: ``adb``, for the device.
        folder: A folder of the device for this call alone; it is removed at the end.
        argv: The command.
        stdin: Its whole standard input.
        env: Variables to add.
    """

    def __init__(
        self,
        program: Program,
        folder: str,
        argv: Sequence[str],
        stdin: bytes | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self._program = program
        self._folder = folder
        self._argv = argv
        self._pid: int | None = None
        self._code: int | None = None
        self._trailer = f"slmdeploy-ended-{uuid.uuid4().hex}"
        words = [folder, self._trailer, *with_env(argv, env)]
        self._send("run", f"set -- {command_line(words)}\n{RUN}".encode("utf-8", "surrogateescape"))
        if stdin is not None:
            self._send("in", stdin)
        self._local = LocalProcess(
            program.argv("exec-out", f"exec sh {quoted(f'{folder}/run')}"), None, None
        )

    def chunks(self, deadline: Deadline) -> Iterator[tuple[int, bytes]]:
        """As in ``Process``; stderr comes at the end."""
        mark = self._trailer.encode()
        held, complaint, ended = b"", b"", False
        for source, data in self._local.chunks(deadline):
            if source == STDERR:
                complaint += data
                continue
            held += data
            if self._pid is None and (found := STARTED.search(held)):
                self._pid = int(found[1])
                held = held[found.end() :]
            if self._pid is None or ended:
                continue
            ended = mark in held
            sure = len(held) - _begun(held, mark)
            if not ended and sure:
                yield STDOUT, held[:sure]
                held = held[sure:]
        if self._pid is None:
            text = (complaint or held).decode("utf-8", "replace")
            raise translate(text, self._program.where, f"run {self._argv[0]!r} on")
        if not ended:
            raise lost(self._program, self._argv)
        out, _, rest = held.partition(mark)
        code, _, err = rest.lstrip(b":").partition(b"\n")
        self._code = code_of(int(code))
        yield from ((kind, text) for kind, text in ((STDOUT, out), (STDERR, err)) if text)

    def wait(self, deadline: Deadline) -> int:
        """As in ``Process``."""
        self._local.wait(deadline)
        if self._code is None:
            raise lost(self._program, self._argv)
        return self._code

    def stop(self) -> None:
        """As in ``Process``; nothing is raised if the device is away."""
        if self._code is None and self._pid is not None:
            with contextlib.suppress(SlmdeployError):
                self._ask(["sh", "-c", STOP, "slmdeploy", str(self._pid)])
                self._ask(["rm", "-rf", self._folder])
        self._code = 0 if self._code is None else self._code
        self._local.stop()

    def _ask(self, words: Sequence[str]) -> None:
        self._program.ask("exec-out", f"exec {command_line(words)}", timeout=STOP_SECONDS)

    def _send(self, name: str, data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / name
            source.write_bytes(data)
            done = self._program.ask("push", str(source), f"{self._folder}/{name}", timeout=None)
        if done.code != 0:
            raise translate(done.err or done.out, self._program.where, "send a command to")


def _begun(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of data may be the beginning of the mark."""
    most = min(len(data), len(mark) - 1)
    return next((size for size in range(most, 0, -1) if data.endswith(mark[:size])), 0)
