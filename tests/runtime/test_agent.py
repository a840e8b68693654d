"""The agent as a process: it is given a plan, and its lines are read as they come."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slmdeploy.runtime import agent

SOURCE = Path(agent.__file__)
PATIENCE_S = 60.0


def old_pythons() -> list[str]:
    """Pythons of boards that are installed here: by their name, or by pyenv."""
    places = Path(os.environ.get("PYENV_ROOT", "/nowhere")).glob("versions/3.[678].*/bin/python")
    named = (shutil.which(f"python3.{minor}") for minor in (6, 7, 8))
    return sorted({str(path) for path in places} | {path for path in named if path and works(path)})


def works(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


class Running:
    """An agent that runs, and what it has said so far."""

    def __init__(self, plan: dict[str, Any], python: str = sys.executable) -> None:
        self.lines: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [python, "-I", "-S", "-B", str(SOURCE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(plan))
        self.process.stdin.close()

    def until(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read on to the first line that is wanted."""
        assert self.process.stdout is not None
        for row in self.process.stdout:
            self.lines.append(json.loads(row))
            if wanted(self.lines[-1]):
                return self.lines[-1]
        assert self.process.stderr is not None
        raise AssertionError(f"no such line in {self.lines}: {self.process.stderr.read()}")

    def end(self) -> dict[str, Any]:
        return self.until(lambda line: "end" in line)

    def ids(self) -> dict[str, str]:
        """Keys of texts, by their id as it stands in a line."""
        return {str(line["id"]): line["key"] for line in self.lines if "key" in line}

    def said(self, kind: str = "text") -> list[tuple[str, str]]:
        """All texts (or reasons) so far, with their keys."""
        keys = self.ids()
        return [(keys[i], text) for line in self.lines for i, text in line.get(kind, {}).items()]


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts agents, and ends those that are left; one that says nothing for long is killed."""
    with contextlib.ExitStack() as stack:

        def begin(plan: dict[str, Any], python: str = sys.executable) -> Running:
            running = Running(plan, python)
            timer = threading.Timer(PATIENCE_S, running.process.kill)
            timer.start()
            stack.callback(timer.cancel)
            stack.callback(running.process.__exit__, None, None, None)
            stack.callback(running.process.kill)
            return running

        yield begin


def files(pattern: object, every_s: float | None = 0.05, **more: Any) -> dict[str, Any]:
    return {"files": str(pattern), "every_s": every_s, **more}


def command(*argv: str, every_s: float | None = 0.05, **more: Any) -> dict[str, Any]:
    return {"command": list(argv), "every_s": every_s, **more}


def reads(line: dict[str, Any]) -> bool:
    return "read" in line


def test_it_is_one_file_of_the_standard_library_and_of_python_3_6() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
    assert "dataclasses" not in imported  # of 3.7
    assert "=}" not in SOURCE.read_text()


@pytest.mark.parametrize("python", old_pythons())
def test_it_runs_on_an_old_python(start, tmp_path, python) -> None:
    (tmp_path / "temp").write_text("50000\n")
    running = start({"sources": [files(tmp_path / "temp")], "deadline_s": 0.2}, python)
    assert running.end()["end"] == "deadline"
    assert running.said() == [(str(tmp_path / "temp"), "50000\n")]


def test_a_text_is_written_when_it_changes(start, tmp_path) -> None:
    zone = tmp_path / "temp"
    zone.write_text("50000\n")
    running = start({"sources": [files(zone)]})
    for _ in range(3):
        running.until(reads)
    zone.write_text("60000\n")
    running.until(lambda line: "text" in line)
    assert running.said() == [(str(zone), "50000\n"), (str(zone), "60000\n")]


def test_each_reading_has_its_stamp_though_nothing_changed(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("50000\n")
    running = start({"sources": [files(tmp_path / "temp")]})
    stamps = [running.until(reads)["t"] for _ in range(4)]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] - stamps[0] >= 0.14e9


def test_what_is_read_at_the_ends_is_not_read_in_between(start, tmp_path) -> None:
    (tmp_path / "type").write_text("cpu\n")
    (tmp_path / "temp").write_text("1\n")
    sources = [files(tmp_path / "type", None), files(tmp_path / "temp")]
    running = start({"sources": sources, "deadline_s": 0.3})
    running.end()
    read = [line["read"] for line in running.lines if reads(line)]
    assert read[0] == read[-1] == [0, 1]
    assert read[1:-1]
    assert {tuple(one) for one in read[1:-1]} == {(1,)}


def test_what_cannot_be_read_is_a_reason_once(start, tmp_path) -> None:
    (tmp_path / "a").write_text("1\n")
    (tmp_path / "b").mkdir()
    running = start({"sources": [files(tmp_path / "?")], "deadline_s": 0.2})
    running.end()
    assert running.said("miss") == [(str(tmp_path / "b"), "Is a directory")]
    assert running.said() == [(str(tmp_path / "a"), "1\n")]


def test_a_text_may_be_cut_and_joined(start, tmp_path) -> None:
    (tmp_path / "a").write_text("cpu 1\nintr 5\n")
    (tmp_path / "b").write_text("cpu 2\n")
    sources = [files(tmp_path / "a", until="intr "), files(tmp_path / "?", joined=True)]
    running = start({"sources": sources})
    running.until(reads)
    assert running.said() == [
        (str(tmp_path / "a"), "cpu 1\n"),
        (str(tmp_path / "?"), "cpu 1\nintr 5\ncpu 2\n"),
    ]


def test_a_command_that_hangs_is_ended_and_delays_nothing(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    sources = [files(tmp_path / "temp"), command("sleep", "600", timeout_s=0.5)]
    running = start({"sources": sources})
    missed = running.until(lambda line: "miss" in line)
    assert list(missed["miss"].values()) == ["it did not end within 0.5 s"]
    assert sum(line.get("read") == [0] for line in running.lines) >= 5


def test_a_command_that_closes_its_output_and_goes_on_is_ended_too(start) -> None:
    script = "exec > /dev/null 2>&1; exec sleep 600"
    running = start({"sources": [command("sh", "-c", script, timeout_s=0.5)]})
    missed = running.until(lambda line: "miss" in line)
    assert list(missed["miss"].values()) == ["it did not end within 0.5 s"]


def test_a_command_is_a_text_and_a_failed_one_a_reason(start) -> None:
    sources = [
        command("echo", "throttled=0x0", every_s=None),
        command("sh", "-c", "echo no; exit 3", every_s=None),
        command("no-such-tool", "-q", every_s=None),
    ]
    running = start({"sources": sources, "deadline_s": 0.3})
    running.end()
    assert running.said() == [("echo throttled=0x0", "throttled=0x0\n")]
    assert sorted(running.said("miss")) == [
        ("no-such-tool -q", "no-such-tool is not on this board"),
        ("sh -c echo no; exit 3", "it ended with code 3: no"),
    ]


def test_it_ends_when_it_is_told(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    stop = tmp_path / "stop"
    running = start({"sources": [files(tmp_path / "temp")], "stop": [str(stop)]})
    running.until(reads)
    stop.touch()
    assert running.end()["end"] == f"there is {stop}"
    assert running.process.wait() == 0


def test_it_ends_when_the_lease_is_over_or_another_one_is_there(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    ends = [tmp_path / "lease" / "7.over", tmp_path / "lease" / "8"]
    running = start({"sources": [files(tmp_path / "temp")], "stop": [str(end) for end in ends]})
    running.until(reads)
    ends[1].parent.mkdir()
    ends[1].touch()
    assert running.end()["end"] == f"there is {ends[1]}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_its_last_line(start, tmp_path, number) -> None:
    (tmp_path / "temp").write_text("1\n")
    running = start({"sources": [files(tmp_path / "temp", 30)]})
    running.until(reads)
    running.process.send_signal(number)
    assert running.end()["end"] == "told"


def test_a_command_that_the_end_cuts_off_is_not_said_to_be_slow(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    running = start({"sources": [files(tmp_path / "temp"), command("sleep", "600")]})
    running.until(reads)
    running.process.send_signal(signal.SIGTERM)
    running.end()
    assert running.said("miss") == [("sleep 600", "it did not end")]


def test_its_last_line_says_what_it_has_cost(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    running = start({"sources": [files(tmp_path / "temp")], "deadline_s": 0.2})
    last = running.end()
    first = running.lines[0]
    assert first["agent"] == agent.VERSION
    assert 0 < first["cpu_ns"] < last["cpu_ns"]
    assert last["wall_ns"] >= 0.2e9


def test_what_it_wrote_is_whole_when_it_is_killed(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    running = start({"sources": [files(tmp_path / "temp")]})
    running.until(reads)
    running.process.kill()
    assert running.process.stdout is not None
    rest = running.process.stdout.read()
    assert all(json.loads(row) for row in rest.splitlines())


def test_it_ends_when_nobody_takes_its_lines(start, tmp_path) -> None:
    (tmp_path / "temp").write_text("1\n")
    running = start({"sources": [files(tmp_path / "temp")]})
    running.until(reads)
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert running.process.wait(PATIENCE_S) == 3


@contextlib.contextmanager
def sleeper(program: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose program is that file."""
    with subprocess.Popen([str(program), "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_each_process_of_the_program_is_watched_in_its_turn(start, tmp_path) -> None:
    program = tmp_path / "runtimes" / "runner"
    program.parent.mkdir()
    program.symlink_to(shutil.which("sleep") or "sleep")
    running = start(
        {"sources": [files("/proc/{pid}/status")], "program": str(program.parent) + "/"}
    )
    for _ in range(2):
        with sleeper(program) as process:
            assert running.until(lambda line: "watch" in line)["watch"] == process.pid
            running.until(lambda line: "text" in line)
        assert running.until(lambda line: "gone" in line)["gone"] == process.pid
    texts = [text for key, text in running.said() if key == "/proc/{pid}/status"]
    assert len(texts) >= 2
    assert all("VmHWM" in text for text in texts[:1])


def test_a_shell_whose_arguments_name_the_program_is_not_it(start, tmp_path) -> None:
    argv = ["sh", "-c", "sleep 600; :", f"{tmp_path}/runner"]
    (tmp_path / "temp").write_text("1\n")
    plan = {"sources": [files(tmp_path / "temp")], "program": f"{tmp_path}/", "deadline_s": 0.4}
    with subprocess.Popen(argv, start_new_session=True) as shell:
        running = start(plan)
        running.end()
        os.killpg(shell.pid, signal.SIGKILL)
    assert not any("watch" in line for line in running.lines)


def test_it_ends_with_the_process_of_its_pid_file(start, tmp_path) -> None:
    note = tmp_path / "pid"
    running = start({"sources": [files("/proc/{pid}/stat")], "pid_file": str(note)})
    with sleeper(Path(shutil.which("sleep") or "sleep")) as process:
        note.write_text(f"{process.pid} 12345 boot\n")
        assert running.until(lambda line: "watch" in line)["watch"] == process.pid
    assert running.end()["end"] == "gone"
