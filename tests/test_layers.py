"""A room imports only from rooms before it, and a package's `__init__` takes no library in."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "slmdeploy"
MODULES = sorted(PACKAGE.rglob("*.py"))
INITS = [path for path in MODULES if path.name == "__init__.py"]

# `errors` to `cache` are single modules below all rooms.
ROOMS = [
    *("errors", "progress", "places", "cache"),
    *("model", "compress", "export", "bundle", "target", "transport", "runtime", "device"),
    *("verify", "bench", "store", "report", "steps", "pipeline", "cli"),
]

LIGHT = {*sys.stdlib_module_names, "slmdeploy"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Name every module that is imported anywhere, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            if node.module == "slmdeploy":  # of rooms, or of the version
                yield from (f"slmdeploy.{a.name}" for a in node.names if a.name in ROOMS)
            else:
                yield node.module or ""


def imported_rooms(path: Path) -> set[str]:
    names = imported_modules(ast.parse(path.read_text()))
    return {name.split(".")[1] for name in names if name.startswith("slmdeploy.")}


def test_every_module_lies_in_a_known_room() -> None:
    assert {room_of(path) for path in MODULES} <= {*ROOMS, "__init__", "__main__"}


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if room_of(path) in ROOMS],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_room_imports_only_from_rooms_before_it(path: Path) -> None:
    allowed = ROOMS[: ROOMS.index(room_of(path)) + 1]
    assert imported_rooms(path) - set(allowed) == set()


@pytest.mark.parametrize("path", INITS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_package_init_imports_no_library(path: Path) -> None:
    tree = ast.parse(path.read_text())
    outside_functions = ast.Module(
        [node for node in tree.body if not isinstance(node, ast.FunctionDef)], []
    )
    names = {name.split(".")[0] for name in imported_modules(outside_functions)}
    assert names <= LIGHT
