"""The models that show whether a runtime works are those that the script makes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from slmdeploy.runtime.smoke import INPUT, OUTPUT, PTE, PYTHON_TEST, TFLITE

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_smoke_models", ROOT / "fixtures/make_smoke_models.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tflite_is_what_the_script_makes(script: ModuleType) -> None:
    assert TFLITE.read_bytes() == script.make_tflite()
    assert TFLITE.read_bytes()[4:8] == b"TFL3"


def test_the_models_are_small() -> None:
    assert TFLITE.stat().st_size + PTE.stat().st_size < 4096


def test_the_answer_has_no_rounding_in_it() -> None:
    assert OUTPUT == (8.0, 0.0, 1.0, 6.0)


def test_the_script_for_the_board_needs_the_packages_that_it_names() -> None:
    code = ["-c", PYTHON_TEST.read_text(), "no_such_runtime", *map(str, INPUT)]
    done = subprocess.run([sys.executable, *code], input=b"", capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1].startswith("ModuleNotFoundError")
