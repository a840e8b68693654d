"""The scripts are sound shell, run from any folder and refuse what they do not know."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = (
    ".ci/run",
    "scripts/models-table",
    "scripts/quickstart",
    "scripts/setup",
    "scripts/test",
    "tests/boards/as-root",
    "tests/boards/board",
)
each_script = pytest.mark.parametrize("name", SCRIPTS)


@each_script
def test_a_script_can_be_run(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


@each_script
def test_a_script_is_bash_that_stops_at_the_first_error(name: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)  # noqa: S607
    text = (ROOT / name).read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail\n" in text


def test_setup_refuses_an_unknown_option_before_it_does_anything(tmp_path: Path) -> None:
    argv = [str(ROOT / "scripts/setup"), "--bords"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "usage: scripts/setup [--boards]\n"


def test_every_requirement_is_pinned() -> None:
    rows = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [row for row in rows if not row.startswith("#")]
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0])
    assert [row for row in pins if row.count("==") != 1 or "+" in row or " " in row] == []
