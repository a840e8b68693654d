"""Check this computer: what it takes to export, and to build runners for boards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from slmdeploy.device.doctor.host_checks import (
    Check,
    judge_compiler,
    judge_disk,
    judge_extra,
    judge_memory,
    judge_optional,
    judge_python,
    parse_requirements,
)
from slmdeploy.places import cache_dir, find_project

__all__ = ["Check", "check_host", "has_failed"]

_CROSS = "aarch64-linux-gnu-g++"
_TIMEOUT_S = 30


def check_host(output: Path | None = None) -> tuple[Check, ...]:
    """Look at this computer; changes nothing and uses no network.

    Args:
        output: Where bundles will go; by default the project's ``bundles``.
    """
    major, minor, micro = sys.version_info[:3]
    bundles = output or find_project().bundles_dir
    return (
        judge_python((major, minor, micro)),
        _compiler(),
        judge_optional(
            "cross compiler",
            _version_of(_CROSS),
            "For boards: sudo apt install g++-aarch64-linux-gnu",
        ),
        judge_optional(
            "zig",
            _installed("ziglang"),
            "For boards with glibc 2.31: pip install 'slmdeploy[cross]'",
        ),
        *(_extra(name) for name in _extras()),
        judge_memory(_available_bytes(Path("/proc/meminfo"))),
        judge_disk("disk of the cache", str(cache_dir()), _free_bytes(cache_dir())),
        judge_disk("disk of the bundles", str(bundles), _free_bytes(bundles)),
    )


def has_failed(checks: tuple[Check, ...]) -> bool:
    """Whether any check is a ``fail``."""
    return any(check.status == "fail" for check in checks)


def _compiler() -> Check:
    path = shutil.which(os.environ.get("CXX", "g++"))
    if path is None:
        return judge_compiler(None, None, cxx17=None)
    return judge_compiler(path, _version_of(path), cxx17=_has_cxx17(path))


def _version_of(program: str) -> str | None:
    """First line of ``--version``; ``None`` where the program is not here or is broken."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return next(iter(done.stdout.splitlines()), None)


def _has_cxx17(path: str) -> bool | None:
    source = "#include <string_view>\nint main() { return std::string_view().size(); }\n"
    try:
        done = subprocess.run(
            [path, "-std=c++17", "-fsyntax-only", "-x", "c++", "-"],
            input=source,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.returncode == 0


def _extras() -> tuple[str, ...]:
    """Those that every exporter needs, and one for each exporter that is registered."""
    exporters = {point.name for point in metadata.entry_points(group="slmdeploy.exporters")}
    # LiteRT's exporter makes artifacts for it too; its own wheel is fetched, never installed.
    return ("models", *sorted(exporters - {"tflite-runtime"}))


def _extra(name: str) -> Check:
    try:
        lines = metadata.requires("slmdeploy") or []
    except metadata.PackageNotFoundError:
        lines = []
    wanted = parse_requirements(lines, name)
    return judge_extra(name, wanted, {need.package: _installed(need.package) for need in wanted})


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _available_bytes(meminfo: Path) -> int | None:
    """``MemAvailable`` of the kernel, which counts in KiB; ``None`` where it has none."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _free_bytes(folder: Path) -> int | None:
    """Free bytes where the folder is, or will be."""
    there = next((p for p in (folder, *folder.parents) if p.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None
