"""What is public is listed, sorted, and there."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "slmdeploy").rglob("*.py")
    if path.name != "__main__.py"
)
STEPS = ("inspect", "fetch", "export", "verify", "push", "generate", "bench", "report", "run")
"""The steps, by the names that they have on the command line."""


def all_of(module: ModuleType) -> list[str]:
    names: list[str] = module.__all__
    return names


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name."""
    return (0 if name.isupper() else 1 if name.lstrip("_")[:1].isupper() else 2, name)


def imports_of(name: str) -> Iterator[tuple[str, str]]:
    """Name what a module takes from others of the package: (module, name)."""
    source = inspect.getsource(import_module(name))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slmdeploy"):
            yield from ((node.module or "", alias.name) for alias in node.names)


def is_listed(module: str, name: str) -> bool:
    """Tell whether a module lists a name, or has it as a submodule."""
    return name in getattr(import_module(module), "__all__", []) or f"{module}.{name}" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_takes_from_others_is_public_there(name: str) -> None:
    hidden = [taken for taken in imports_of(name) if not is_listed(*taken)]
    assert hidden == []


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_lists_exists_and_is_sorted(name: str) -> None:
    module = import_module(name)
    listed = list(getattr(module, "__all__", []))
    assert [entry for entry in listed if not hasattr(module, entry)] == []
    assert listed == sorted(listed, key=order)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_documented_function(step: str) -> None:
    pipeline = import_module("slmdeploy.pipeline")
    function = getattr(pipeline, step)
    assert step in all_of(pipeline)
    assert inspect.getdoc(function)
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_command_of_the_same_name(step: str) -> None:
    assert step in import_module("slmdeploy.cli.app").COMMANDS
