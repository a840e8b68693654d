"""Functions fit on a screen, files stay short, and everything says what it returns."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("slmdeploy", "fixtures", "benchmarks")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FILE_LINES = 500
FUNCTION_LINES = 80

Function = ast.FunctionDef | ast.AsyncFunctionDef
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def functions_of(path: Path) -> list[Function]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@each_module
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


@each_module
def test_a_function_fits_on_a_screen(path: Path) -> None:
    long = [f.name for f in functions_of(path) if length(f) > FUNCTION_LINES]
    assert long == []


@each_module
def test_a_function_says_what_it_returns(path: Path) -> None:
    assert [f.name for f in functions_of(path) if f.returns is None] == []


def test_most_functions_are_short() -> None:
    lengths = sorted(length(f) for path in MODULES for f in functions_of(path))
    assert lengths[len(lengths) // 2] <= 12
    assert lengths[len(lengths) * 9 // 10] <= 35
