"""Watches a run on the board: keeps the raw text of its sensors, and parses nothing.

This one file is sent to the board and runs there in Python 3.6 or later, with the standard
library alone. It reads a plan (one JSON object) from standard input:

* ``sources``: a list of ``{"files": PATTERN}`` or ``{"command": [WORD, ...]}``, each with
  ``every_s`` (seconds between two readings; ``null`` for one at the start and one at the
  end) and, if wanted, ``joined`` (look for the files anew each time, keep them as one
  text), ``until`` (keep what comes before this text) or ``timeout_s`` of a command.
  ``{pid}`` in a pattern is the watched process, ``{agent}`` this one.
* ``program``: watch each process whose program lies below this path, one after another.
* ``pid_file``: or watch the process whose number is in this file, and end with it.
* ``stop``: end when one of these paths exists.
* ``deadline_s``: end after so many seconds.
* ``sync_s``: seconds between two fdatasync, so that a power cut leaves what was written.

It writes JSON lines, each at once. ``t`` is CLOCK_MONOTONIC in nanoseconds:

* ``{"agent": 1, "t", "cpu_ns", "pid", "python"}`` first;
* ``{"id", "key", "source"}``: texts with this id are of this file or command;
* ``{"t", "read": [SOURCE, ...], "text": {ID: TEXT}, "miss": {ID: REASON}}``: these sources
  were read, and these texts are not those of the last time;
* ``{"t", "watch": PID}`` and ``{"t", "gone": PID}``;
* ``{"t", "cpu_ns", "wall_ns"}`` now and then: processor time that the agent itself has taken,
  its commands included; and with ``"end": WHY`` as the last line.
"""
# Python 3.6 has no postponed annotations, so these are quoted; pathlib would cost in each tick.
# ruff: noqa: PTH110, PTH123, PTH207, PTH208

import contextlib
import glob
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Texts = dict[int, str]

__all__ = ["VERSION", "Agent", "main"]

VERSION = 1
COMMAND_S = 5.0
FINAL_S = 3.0  # that the commands of the end may take
COST_S = 10.0  # between two lines of what the agent has cost
SEEN_TWICE = 2  # looks at a process until it was surely not caught between fork and exec
BLOCK = 65536


def now_ns() -> int:
    """CLOCK_MONOTONIC; Python 3.6 has it in seconds only, good to a microsecond."""
    clock = getattr(time, "monotonic_ns", None)
    return int(clock()) if clock else int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)


def cpu_ns() -> int:
    """Processor time of the agent and of the commands that it ran."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return int(sum(use.ru_utime + use.ru_stime for use in uses) * 1e9)


class Log:
    """JSON lines on a file descriptor, each written at once.

    Attributes:
        broken: Whether the last line could not be written (a full disk, a closed pipe).
    """

    def __init__(self, descriptor: int, sync_s: float) -> None:
        self.broken = False
        self._descriptor = descriptor
        self._sync_ns = int(sync_s * 1e9)
        self._synced = now_ns()

    def write(self, line: "dict[str, Any]") -> None:
        """Write a line, and now and then have it reach the disk."""
        data = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self.broken = True
            return
        if now_ns() - self._synced >= self._sync_ns:
            self._synced = now_ns()
            with contextlib.suppress(OSError):  # a pipe cannot be synced
                os.fdatasync(self._descriptor)


class File:
    """A file that stays open: a reading is one system call."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1
        # A file of /sys comes whole at once; one of /proc in pieces.
        self._whole = path.startswith("/sys/")

    def read(self) -> str:
        """All of it.

        Raises:
            OSError: It cannot be opened or read.
        """
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        data = os.pread(self._descriptor, BLOCK, 0)
        more = data
        while more and not self._whole:
            more = os.pread(self._descriptor, BLOCK, len(data))
            data += more
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of it; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Joined(File):
    """Files of a pattern, looked for each time, one text after another."""

    def read(self) -> str:
        """Those that can be read, in the order of their names."""
        texts = []
        for path in self._paths():
            with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
                texts.append(file.read(BLOCK))
        return b"".join(texts).decode("utf-8", "replace")

    def _paths(self) -> "list[str]":
        before, _, rest = self.path.partition("/proc/[0-9]*/")
        if before or not rest:
            return sorted(glob.glob(self.path))
        # glob would look for each file before it is opened.
        return [f"/proc/{name}/{rest}" for name in processes()]


class Command:
    """A program that runs beside the readings; one that hangs delays nothing."""

    def __init__(self, argv: "list[str]", timeout_s: float) -> None:
        self.path = " ".join(argv)
        self.absent = False
        self.running = None  # type: subprocess.Popen[bytes] | None
        self._argv = argv
        self._timeout_ns = int(timeout_s * 1e9)
        self.end_ns = 0
        self._said = b""

    def start(self, selector: selectors.BaseSelector) -> None:
        """Start it.

        Raises:
            OSError: There is no such program, or it may not be run.
        """
        process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            close_fds=False,
            start_new_session=True,
        )
        selector.register(process.stdout, selectors.EVENT_READ, self)  # type: ignore[arg-type]
        self.running, self._said = process, b""
        self.end_ns = now_ns() + self._timeout_ns

    def take(self) -> bool:
        """Take what it has said; whether that was all."""
        if self.running is None or self.running.stdout is None:
            return True
        data = os.read(self.running.stdout.fileno(), BLOCK)
        self._said += data[: max(0, BLOCK - len(self._said))]
        return not data

    def late(self) -> bool:
        """Whether it has run for too long."""
        return self.running is not None and now_ns() > self.end_ns

    def finish(self, selector: selectors.BaseSelector) -> "tuple[str | None, str]":
        """End it; gives its text, or none and the reason."""
        process, left_ns = self.running, self.end_ns - now_ns()
        self.running = None
        if process is None or process.stdout is None:
            return None, "it did not run"
        selector.unregister(process.stdout)
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(left_ns, 0) / 1e9)  # it has closed its output: not yet its end
        if process.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            within = f" within {self._timeout_ns / 1e9:g} s" if self.end_ns else ""
            return None, f"it did not end{within}"
        code = process.returncode
        text = self._said.decode("utf-8", "replace")
        if code == 0:
            return text, ""
        first = text.strip().split("\n")[0]
        return None, f"it ended with code {code}" + (f": {first}" if first else "")


def processes() -> "list[str]":
    """Numbers of all processes, as text."""
    return [name for name in os.listdir("/proc") if name.isdigit()]


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")


class Source:
    """One entry of the plan, and what it reads."""

    def __init__(self, index: int, entry: "dict[str, Any]") -> None:
        self.index = index
        self.every_s = entry.get("every_s")
        self.pattern = entry.get("files", "")
        self.joined = bool(entry.get("joined"))
        self.until = entry.get("until", "")
        self.of_process = "{pid}" in self.pattern
        self.due = 0
        self.readers = []  # type: list[File]
        argv = entry.get("command")
        self.command = Command(argv, entry.get("timeout_s", COMMAND_S)) if argv else None

    def find(self) -> None:
        """Look for the files; those of a process come with it."""
        if self.joined:
            self.readers = [Joined(self.pattern)]
        elif self.pattern and not self.of_process:
            path = self.pattern.replace("{agent}", str(os.getpid()))
            self.readers = [File(found) for found in sorted(glob.glob(path))]

    def attach(self, pid: int) -> None:
        """Read the files of this process from now on, the first time at once; 0: of none."""
        for reader in self.readers:
            reader.close()
        self.readers = [File(self.pattern.replace("{pid}", str(pid)))] if pid else []
        self.due = 0

    def key_of(self, path: str) -> str:
        """What a text is called: a process has its pattern, whichever it is."""
        return self.pattern if "{" in self.pattern else path


class Finder:
    """Finds the process to be watched."""

    def __init__(self, program: "str | None", pid_file: "str | None") -> None:
        self.pid = 0
        self.program = program
        self.pid_file = pid_file
        self._seen = {}  # type: dict[str, int]

    def look(self) -> int:
        """The process to watch now; 0 for none."""
        if self.pid and not is_alive(self.pid):
            self.pid = 0
        if self.pid_file and not self.pid:
            self.pid = self._noted()
        elif self.program:
            self.pid = self._started() or self.pid
        return self.pid

    def _noted(self) -> int:
        try:
            with open(str(self.pid_file)) as file:
                pid = int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            return 0
        return pid if is_alive(pid) else 0

    def _started(self) -> int:
        """A process of the program that was not there before."""
        present = processes()
        found = 0
        seen = {}
        for name in present:
            times = self._seen.get(name, 0)
            seen[name] = times + 1 if times < SEEN_TWICE else times
            if times < SEEN_TWICE and int(name) != self.pid and self._is_program(name):
                found = int(name)
        self._seen = seen
        return found

    def _is_program(self, name: str) -> bool:
        """Whether the program is the process's own, or that of its interpreter or emulator."""
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read(BLOCK).split(b"\0")[:4]
        except OSError:
            return False
        program = os.fsencode(str(self.program))
        for word in words:
            if word.startswith(program):
                return True
            if word == b"-c":  # a shell whose arguments are ours
                return False
        return False


class Agent:
    """Reads what is due, writes what is new, until it shall end."""

    def __init__(self, plan: "dict[str, Any]", descriptor: int) -> None:
        self.begun = now_ns()
        self.told = ""
        self.log = Log(descriptor, plan.get("sync_s", 10.0))
        self.sources = [Source(index, entry) for index, entry in enumerate(plan["sources"])]
        self.finder = Finder(plan.get("program"), plan.get("pid_file"))
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self._ids = {}  # type: dict[tuple[int, str], int]
        self._last = {}  # type: dict[int, str]
        self._watched = 0
        self._cost_ns = self.begun
        timed = [source.every_s for source in self.sources if source.every_s]
        self._tick_ns = int(min(timed or [1.0]) * 1e9)

    def run(self) -> str:
        """Work until the end; gives the reason for it."""
        first = {"agent": VERSION, "t": self.begun, "cpu_ns": cpu_ns(), "pid": os.getpid()}
        self.log.write(dict(first, python=".".join(map(str, sys.version_info[:3]))))
        for source in self.sources:
            source.find()
        self._tick(0, everything=True)
        tick, why = 0, ""
        while not why:
            # A tick that comes late is left out; the others keep their times.
            tick = max(tick + 1, (now_ns() - self.begun) // self._tick_ns)
            self._wait_until(self.begun + tick * self._tick_ns)
            self._follow()
            why = self._why_end()
            if not why:
                self._tick(tick)
        if not self.log.broken:
            self._final(why)
        return why

    def _final(self, why: str) -> None:
        """Read everything once more, unless it shall end at once."""
        if self.told != "now":
            self._tick(0, everything=True)
            self._wait_until(now_ns() + int(FINAL_S * 1e9), for_commands=True)
        for source in self.sources:
            if source.command and source.command.running:
                source.command.end_ns = 0
                self._finish(source, source.command)
        self._write_cost(why)

    def _write_cost(self, why: str = "") -> None:
        self._cost_ns = now_ns()
        line = {"t": self._cost_ns, "cpu_ns": cpu_ns(), "wall_ns": self._cost_ns - self.begun}
        self.log.write(dict(line, end=why) if why else line)

    def _why_end(self) -> str:
        plan = self._plan
        if self.told:
            return "told"
        for path in plan.get("stop", ()):
            if os.path.exists(path):
                return f"there is {path}"
        if self.log.broken:
            return "cannot write"
        if now_ns() - self.begun > plan.get("deadline_s", 3600.0) * 1e9:
            return "deadline"
        return "gone" if self.finder.pid_file and self._watched < 0 else ""

    def _follow(self) -> None:
        """See whether the watched process is another one now."""
        pid = self.finder.look()
        if pid == max(0, self._watched):
            return
        if self._watched > 0:
            self.log.write({"t": now_ns(), "gone": self._watched})
        if pid:
            self.log.write({"t": now_ns(), "watch": pid})
        for source in self.sources:
            if source.of_process:
                source.attach(pid)
                self._last.pop(self._ids.get((source.index, source.pattern), -1), None)
        self._watched = pid or -1

    def _tick(self, tick: int, *, everything: bool = False) -> None:
        began = now_ns()
        read, commands = [], []  # type: list[int], list[tuple[Source, Command]]
        text, miss = {}, {}  # type: Texts, Texts
        for source in self.sources:
            if not everything and (source.every_s is None or tick < source.due):
                continue
            if source.every_s is not None:
                source.due = tick + max(1, round(source.every_s * 1e9 / self._tick_ns))
            if source.command:
                commands.append((source, source.command))
            elif source.readers:
                read.append(source.index)
                self._read(source, text, miss)
        if read:
            self._write(began, read, text, miss)
        for source, command in commands:
            self._start(source, command)
        if now_ns() - self._cost_ns > COST_S * 1e9:
            self._write_cost()

    def _read(self, source: Source, text: "Texts", miss: "Texts") -> None:
        for reader in source.readers:
            number = self._id(source, reader.path)
            try:
                found = reader.read()
            except OSError as error:
                self._keep(miss, number, "-", error.strerror or str(error))
            else:
                found = found.split(source.until, 1)[0] if source.until else found
                self._keep(text, number, "+", found)

    def _start(self, source: Source, command: Command) -> None:
        if command.running or command.absent:
            return
        try:
            command.start(self._selector)
        except OSError as error:
            command.absent = True
            why = error.strerror or str(error)
            if isinstance(error, FileNotFoundError):
                why = command.path.split(" ", 1)[0] + " is not on this board"
            self._write(now_ns(), [source.index], {}, {self._id(source, command.path): why})

    def _finish(self, source: Source, command: Command) -> None:
        text, miss = {}, {}  # type: Texts, Texts
        number = self._id(source, command.path)
        found, why = command.finish(self._selector)
        if found is None:
            self._keep(miss, number, "-", why)
        else:
            self._keep(text, number, "+", found)
        self._write(now_ns(), [source.index], text, miss)

    def _wait_until(self, end_ns: int, *, for_commands: bool = False) -> None:
        """Sleep, and take what commands say meanwhile."""
        while not self.told:
            pairs = [(s, s.command) for s in self.sources if s.command and s.command.running]
            left = end_ns - now_ns()
            if left <= 0 or (for_commands and not pairs):
                return
            # Python goes on waiting after a signal: not for long.
            ready = [key.data for key, _ in self._selector.select(min(0.5, left / 1e9))]
            for source, command in pairs:
                if (command in ready and command.take()) or command.late():
                    self._finish(source, command)

    def _id(self, source: Source, path: str) -> int:
        key = source.key_of(path)
        number = self._ids.get((source.index, key))
        if number is None:
            number = self._ids[source.index, key] = len(self._ids)
            self.log.write({"id": number, "key": key, "source": source.index})
        return number

    def _keep(self, kept: "Texts", number: int, sign: str, text: str) -> None:
        """Keep a text (+) or a reason (-) unless it is that of the last time."""
        if self._last.get(number) != sign + text:
            self._last[number] = sign + text
            kept[number] = text

    def _write(self, t: int, read: "list[int]", text: "Texts", miss: "Texts") -> None:
        line = {"t": t, "read": read}  # type: dict[str, Any]
        line.update((name, new) for name, new in (("text", text), ("miss", miss)) if new)
        self.log.write(line)


def main() -> int:
    """Read the plan from standard input and carry it out."""
    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = path + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    os.environ["LC_ALL"] = "C"
    agent = Agent(json.load(sys.stdin), sys.stdout.fileno())

    def stop(*_: object) -> None:
        agent.told = "now"

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    return 3 if agent.run() == "cannot write" else 0


if __name__ == "__main__":
    sys.exit(main())
