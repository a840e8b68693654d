"""Commands as a person types them: in a project of their own, with boards in its inventory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmdeploy.device.lab.devices_toml import to_toml
from slmdeploy.device.types import Device

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240.0
BUG = 70


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` printed."""
        assert self.code == 0, self.err
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def result(self) -> dict[str, Any]:
        """The value of the only device."""
        (one,) = self.document["results"]
        assert one["error"] is None
        result: dict[str, Any] = one["result"]
        return result


class Running:
    """A command that is under way."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Come back as soon as something is so; fail if the command ends before."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it never came so far"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                raise AssertionError(f"it ended too early: {self.done()}")

    def wait_for(self, words: str) -> None:
        """Come back as soon as it has printed these words."""
        out = self._folder / "out"
        self.wait_until(lambda: words in out.read_text(errors="replace"))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def done(self) -> Done:
        """Wait for its end; no fault may look like a bug of ours."""
        try:
            code = self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        out, err = ((self._folder / name).read_text() for name in ("out", "err"))
        assert "Traceback" not in out + err, err
        assert code != BUG, err
        return Done(code, out, err)


class Lab:
    """A project folder, its inventory, and a person who works there.

    Args:
        folder: Where it may write.
        patient: Use the command as it is installed (``impatient`` says what else).

    Attributes:
        folder: The project.
        variables: Added to the environment of commands.
    """

    def __init__(self, folder: Path, *, patient: bool = False) -> None:
        self.folder = folder / "project"
        self.folder.mkdir(parents=True)
        self.variables: dict[str, str] = {}
        self._patient = patient
        self._places = {
            f"SLMDEPLOY_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "STATE")
        }
        self._count = 0

    def add(self, *devices: Device) -> None:
        """Write the inventory: these devices and no others."""
        (self.folder / "devices.toml").write_text(to_toml(devices))

    def start(self, *words: object, variables: Mapping[str, str] | None = None) -> Running:
        """Start a command and come back at once."""
        self._count += 1
        folder = self.folder.parent / f"command-{self._count}"
        folder.mkdir()
        installed = [str(Path(sys.executable).parent / "slmdeploy")]
        impatient = [sys.executable, "-m", "tests.faults.impatient"]
        argv = installed if self._patient else impatient
        environment = {
            **os.environ,
            **self._places,
            **self.variables,
            **(variables or {}),
            "PYTHONPATH": str(ROOT),
        }
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [*argv, *map(str, words)],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return Running(process, folder)

    def run(self, *words: object) -> Done:
        """Run a command to its end."""
        return self.start(*words).done()
