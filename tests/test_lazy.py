"""Commands that need no model load none of the heavy libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = {"torch", "torchao", "transformers", "executorch", "safetensors", "gguf", "coremltools"}
REST = {"numpy", "paramiko", "pydantic", "rich", "sqlalchemy", "tokenizers", "jinja2"}

_PLACES = ("CACHE", "CONFIG", "STATE")
_PROGRAM = """
import sys
from slmdeploy.cli import main
sys.argv[0] = "slmdeploy"
try:
    code = main()
except SystemExit as end:
    code = end.code
print("code", code, file=sys.stderr)
print(*{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def loaded_by(folder: Path, *arguments: str) -> set[str]:
    """Run a command in an empty project and give the libraries that it loaded."""
    argv = [sys.executable, "-c", _PROGRAM, *arguments]
    environment = os.environ | {f"SLMDEPLOY_{kind}_DIR": str(folder) for kind in _PLACES}
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    *_, code, names = done.stderr.splitlines()
    assert code in {"code 0", "code None"}, done.stderr
    return set(names.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["export", "--help"]], ids=str)
def test_help_loads_click_and_little_else(tmp_path: Path, arguments: list[str]) -> None:
    assert loaded_by(tmp_path, *arguments) & (MODELS | REST) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["targets", "list"],
        ["devices", "list"],
        ["cache", "show"],
        ["report", "--help"],
        ["runs", "list"],
    ],
    ids=str,
)
def test_commands_without_a_model_load_nothing_of_models(
    tmp_path: Path, arguments: list[str]
) -> None:
    assert loaded_by(tmp_path, *arguments) & (MODELS | {"paramiko", "tokenizers"}) == set()


def test_packages_load_nothing_of_models() -> None:
    folders = (path.parent for path in (ROOT / "slmdeploy").rglob("__init__.py"))
    names = sorted(".".join(folder.relative_to(ROOT).parts) for folder in folders)
    lines = [*(f"import {name}" for name in names), "import sys", "print(*sys.modules)"]
    argv = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in done.stdout.split()} & (MODELS | REST) == set()
