"""What the agent on the board costs: processor time of one core, its commands included.

Bar: below 1 % while files are read twice a second. For each kind of board the agent runs
with the plan that a measurement gives it, on files with that board's recorded texts (a
file system in memory stands for sysfs, ``cat`` for the vendor's tools), and it watches
a process. Starting Python is counted apart: that is over before a measurement begins.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slmdeploy.device.probes.plan import plan_sources
from slmdeploy.device.probes.reading import parse_reading
from slmdeploy.device.probes.registry import probes
from slmdeploy.device.probes.series import AgentCost, parse_log
from slmdeploy.device.probes.types import Raw
from slmdeploy.runtime import agent

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ("rpi4", "rpi5", "orin-nano", "agx-orin")
LIMIT = 0.01
MEMORY = Path("/dev/shm")  # noqa: S108  # a file system in memory


def main() -> int:
    """Measure, print one JSON document, and give 1 when the bar failed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=30.0, help="per board")
    seconds = options.parse_args().seconds
    boards = {board: measured(board, seconds) for board in BOARDS}
    kept = all(figures["share_of_a_core"] < LIMIT for figures in boards.values())
    document = {
        "schema": "slmdeploy/benchmark-agent/1",
        "python": ".".join(map(str, sys.version_info[:3])),
        "seconds": seconds,
        "limit": LIMIT,
        "boards": boards,
        "kept": kept,
    }
    print(json.dumps(document, indent=2))
    return 0 if kept else 1


def measured(board: str, seconds: float) -> dict[str, Any]:
    """Figures of one board: share of a core, cost of the start, and how much is written."""
    with board_files(board) as root, sleeper(root) as program:
        sources = [redirected(entry, root) for entry in plan_sources(probes())]
        plan = {"sources": sources, "program": str(program), "deadline_s": seconds}
        argv = [sys.executable, "-I", "-S", "-B", agent.__file__]
        done = subprocess.run(
            argv, input=json.dumps(plan).encode(), capture_output=True, check=True
        )
    log = done.stdout.decode()
    cost = parse_log(log, probes()).cost or AgentCost(0, 0)
    first = json.loads(log.splitlines()[0])
    reads = sum(len(json.loads(row).get("read", ())) for row in log.splitlines())
    return {
        "share_of_a_core": round(cost.share or 0.0, 5),
        "start_ms": round(first["cpu_ns"] / 1e6, 1),
        "sources_read_per_s": round(reads / seconds, 1),
        "files": sum("key" in json.loads(row) for row in log.splitlines()),
        "log_kib_per_minute": round(len(log) / 1024 * 60 / seconds, 1),
    }


@contextmanager
def board_files(board: str) -> Iterator[Path]:
    """A folder with the board's files and the answers of its tools."""
    text = (ROOT / "fixtures" / "probes" / board / "idle.txt").read_text(encoding="utf-8")
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="slmdeploy-agent-", dir=place) as folder:
        root = Path(folder)
        write(root, parse_reading(text)[0])
        yield root


def write(root: Path, raw: Raw) -> None:
    """Texts of files below ``sys``, those of commands below ``answers``."""
    for key, found in raw.items():
        path = root / key[1:] if key.startswith("/sys/") else root / "answers" / key
        if found.text is not None and not key.startswith("/proc/"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found.text, encoding="utf-8")


def redirected(entry: dict[str, Any], root: Path) -> dict[str, Any]:
    """The same source, but of the folder; ``/proc`` is this computer's."""
    if "command" in entry:
        answer = root / "answers" / " ".join(entry["command"])
        argv = ["cat", str(answer)] if answer.exists() else entry["command"]
        return {**entry, "command": argv}
    pattern = entry["files"]
    return {**entry, "files": f"{root}{pattern}" if pattern.startswith("/sys/") else pattern}


@contextmanager
def sleeper(root: Path) -> Iterator[Path]:
    """A process to be watched, and its program."""
    program = root / "runner"
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")
    with subprocess.Popen([str(program), "100000"]) as process:
        try:
            yield program
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
