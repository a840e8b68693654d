"""Judge what is known of this computer; pure functions, each for one check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from slmdeploy.target.units import format_bytes

__all__ = [
    "EXPORT_MEMORY_BYTES",
    "LITTLE_DISK_BYTES",
    "NO_DISK_BYTES",
    "Check",
    "Requirement",
    "Status",
    "judge_compiler",
    "judge_disk",
    "judge_extra",
    "judge_memory",
    "judge_optional",
    "judge_python",
    "parse_requirements",
]

EXPORT_MEMORY_BYTES = int(3.5 * 2**30)
"""Peak of exporting a model of 135 million parameters."""
LITTLE_DISK_BYTES = 5 * 2**30
NO_DISK_BYTES = 2**29

Status = Literal["ok", "warn", "fail", "unknown"]


@dataclass(frozen=True)
class Check:
    """One line of ``doctor``.

    Attributes:
        status: ``warn``: some steps will not work; ``fail``: none to speak of will;
            ``unknown``: it could not be found out.
        value: What was found; ``None`` where nothing was.
        fix: What to do, as a command where there is one; ``None`` where all is well.
    """

    name: str
    status: Status
    value: str | None
    fix: str | None = None


@dataclass(frozen=True)
class Requirement:
    """A package that an extra brings, and the version it is pinned to, as ``==1.2``."""

    package: str
    specifier: str


def parse_requirements(lines: Iterable[str], extra: str) -> tuple[Requirement, ...]:
    """The packages of one extra, from a distribution's ``Requires-Dist`` lines."""
    form = re.compile(r"^([A-Za-z0-9][\w.-]*)(\[[^\]]*\])?\s*([^;]*?)\s*(?:;\s*(.*))?$")
    found = []
    for line in lines:
        match = form.match(line)
        if match is None or match[1] == "slmdeploy":
            continue
        if re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", match[4] or ""):
            found.append(Requirement(match[1], match[3].strip("() ")))
    return tuple(found)


def judge_python(version: tuple[int, int, int]) -> Check:
    """Python itself; slmdeploy needs 3.11."""
    text = ".".join(map(str, version))
    if version[:2] < (3, 11):
        return Check("python", "fail", text, "Install Python 3.11 or later.")
    return Check("python", "ok", text)


def judge_compiler(path: str | None, version: str | None, *, cxx17: bool | None) -> Check:
    """The C++ compiler that builds the runner for this computer.

    Args:
        path: Where it is; ``None`` if there is none.
        version: First line of ``--version``.
        cxx17: Whether it compiled a program with ``-std=c++17``; ``None`` if not tried.
    """
    if path is None:
        return Check("compiler", "fail", None, "Run: sudo apt install g++")
    if cxx17 is None:
        return Check("compiler", "unknown", version or path, f"Run: {path} --version")
    if not cxx17:
        fix = "It has no C++17: sudo apt install g++ (9 or later)"
        return Check("compiler", "fail", version or path, fix)
    return Check("compiler", "ok", version or path)


def judge_optional(name: str, value: str | None, fix: str) -> Check:
    """Something that only some targets need."""
    return Check(name, "warn", None, fix) if value is None else Check(name, "ok", value)


def judge_extra(
    extra: str, wanted: Iterable[Requirement], installed: Mapping[str, str | None]
) -> Check:
    """An extra: whether all its packages are here, in versions that go together.

    Args:
        extra: Its name.
        wanted: What it brings.
        installed: Version of each package; ``None`` for one that is not here.
    """
    name, fix = f"extra {extra}", f"Run: pip install 'slmdeploy[{extra}]'"
    wanted = tuple(wanted)
    if not wanted:
        return Check(name, "unknown", None, "Run: pip install --force-reinstall slmdeploy")
    missing = [need.package for need in wanted if installed.get(need.package) is None]
    if missing:
        return Check(name, "warn", f"missing: {', '.join(missing)}", fix)
    wrong = [
        f"{need.package} {installed[need.package]} (wants {need.specifier})"
        for need in wanted
        if not _satisfies(str(installed[need.package]), need.specifier)
    ]
    if wrong:
        return Check(name, "fail", ", ".join(wrong), fix)
    return Check(name, "ok", ", ".join(f"{n.package} {installed[n.package]}" for n in wanted))


def judge_memory(available_bytes: int | None) -> Check:
    """Memory that is free now, against what an export takes."""
    if available_bytes is None:
        return Check("memory", "unknown", None, "No /proc/meminfo here.")
    text = f"{format_bytes(available_bytes)} available"
    if available_bytes < EXPORT_MEMORY_BYTES:
        need = format_bytes(EXPORT_MEMORY_BYTES)
        return Check("memory", "warn", text, f"Exporting a model of 135M parameters takes {need}.")
    return Check("memory", "ok", text)


def judge_disk(name: str, path: str, free_bytes: int | None) -> Check:
    """Room on the disk of a folder that slmdeploy writes to."""
    if free_bytes is None:
        return Check(name, "unknown", path, f"{path} cannot be looked at.")
    text = f"{format_bytes(free_bytes)} free at {path}"
    if free_bytes < NO_DISK_BYTES:
        return Check(name, "fail", text, "Free some space, or run: slmdeploy cache clean")
    if free_bytes < LITTLE_DISK_BYTES:
        return Check(name, "warn", text, "Free some space, or run: slmdeploy cache clean")
    return Check(name, "ok", text)


def _satisfies(version: str, specifier: str) -> bool:
    """Whether a version meets ``==``, ``>=`` and ``<`` clauses; others are not judged."""
    have = _numbers(version)
    for operator, text in re.findall(r"(==|>=|<)(?!=)\s*([\w.+!-]+)", specifier):
        want = _numbers(text)
        width = max(len(have), len(want))
        left, right = _padded(have, width), _padded(want, width)
        held = {"==": left == right, ">=": left >= right, "<": left < right}[operator]
        if not held:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The release part: ``2.13.0+cpu`` gives (2, 13, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))
