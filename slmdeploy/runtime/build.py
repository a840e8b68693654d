"""The runner and the kernel library, made once, in the user's cache.

A build is named by a hash of everything that decides it: the sources, the flags, the
compiler, ExecuTorch's version and the architecture. It is made in a folder of its own
and renamed when it is whole; a lock lets a second process wait for the first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from slmdeploy.errors import CompilerError
from slmdeploy.places import cache_dir
from slmdeploy.progress import Progress, silent
from slmdeploy.runtime.compiling import (
    KERNEL_LIBRARY,
    RUNNER,
    Plan,
    compile_all,
    link_all,
    make_plan,
)
from slmdeploy.runtime.once import make_once
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.toolchain import GlibcVersion, find_toolchain, glibc_needed, parse_glibc
from slmdeploy.runtime.wheel import LIBRARIES, RuntimeWheel, find_wheel

__all__ = ["LEAST_GLIBC", "Kernels", "built_files", "runner_files"]

Kernels = Literal["portable", "llm"]

LEAST_GLIBC: Final[GlibcVersion] = (2, 27)
"""What the wheel's own libraries need, so what an old board must have."""


def runner_files(
    arch: str, *, kernels: Kernels, glibc: str | None = None, progress: Progress = silent
) -> RunnerFiles:
    """The runner and its libraries for an architecture; compiled when they are not yet.

    Args:
        arch: ``x86_64``, ``aarch64`` or ``host``.
        kernels: ``llm`` adds the library of ``llama::`` operators.
        glibc: Oldest C library that the runner must start on, as ``"2.31"``; ``None``
            for whatever this computer's compiler gives.
        progress: Is told what is being compiled.

    Raises:
        CompilerError: No compiler, or it failed.
        OfflineError: The libraries for ``arch`` must be fetched first.
        MissingExtraError: ExecuTorch, or ``ziglang`` for an old glibc, is not installed.
        DiskSpaceError: The cache's disk is full.
    """
    wheel = find_wheel(arch)
    plan = make_plan(wheel, find_toolchain(wheel.arch))
    folder = _compiled(plan, progress)
    if glibc is not None:
        folder = _for_glibc(plan, folder, parse_glibc(glibc))
    return _listed(wheel, folder, kernels)


def built_files(arch: str, *, kernels: Kernels) -> RunnerFiles | None:
    """As ``runner_files`` without a ``glibc``, but nothing is compiled.

    Returns:
        The files; ``None`` where the runner would have to be compiled first.

    Raises:
        CompilerError: No compiler, so it is not known which build would be used.
        OfflineError: The libraries for ``arch`` must be fetched first.
        MissingExtraError: ExecuTorch is not installed.
    """
    wheel = find_wheel(arch)
    plan = make_plan(wheel, find_toolchain(wheel.arch))
    folder = _place(_name(plan))
    return _listed(wheel, folder, kernels) if folder.is_dir() else None


def _listed(wheel: RuntimeWheel, folder: Path, kernels: Kernels) -> RunnerFiles:
    files = {name: wheel.lib / name for name in LIBRARIES}
    files[RUNNER] = folder / RUNNER
    libraries: tuple[str, ...] = ()
    if kernels == "llm":
        libraries = (KERNEL_LIBRARY,)
        files[KERNEL_LIBRARY] = folder / KERNEL_LIBRARY
    return RunnerFiles(files, RUNNER, libraries)


def _name(plan: Plan) -> str:
    return f"{plan.wheel.arch}-{plan.key()}"


def _compiled(plan: Plan, progress: Progress) -> Path:
    """The build as the compiler's own linker makes it; its objects are kept."""

    def make(folder: Path) -> None:
        objects = folder / "objects"
        objects.mkdir()
        compile_all(plan, objects, progress)
        link_all(plan, objects, folder)

    return _once(_name(plan), make)


def _for_glibc(plan: Plan, compiled: Path, wanted: GlibcVersion) -> Path:
    """The build itself where it starts on that glibc, else the same linked by zig."""
    if _needs(compiled) <= wanted:
        return compiled
    if wanted < LEAST_GLIBC:
        raise CompilerError(
            f"ExecuTorch's libraries need glibc {_text(LEAST_GLIBC)}, but the target has "
            f"{_text(wanted)}.",
            hint="Use a newer system on the board.",
        )

    def make(folder: Path) -> None:
        link_all(plan, compiled / "objects", folder, LEAST_GLIBC)

    linked = _once(f"{compiled.name}-glibc{_text(LEAST_GLIBC)}", make)
    if _needs(linked) > wanted:
        raise CompilerError(
            f"The runner needs glibc {_text(_needs(linked))}, but the target has {_text(wanted)}.",
            hint="Build it on an older system, or with an older compiler.",
        )
    return linked


def _needs(folder: Path) -> GlibcVersion:
    return max(glibc_needed(folder / name) for name in (RUNNER, KERNEL_LIBRARY))


def _text(version: GlibcVersion) -> str:
    return f"{version[0]}.{version[1]}"


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made now if it is not there."""
    folder = _place(name)
    make_once(folder, make, "the runner")
    return folder


def _place(name: str) -> Path:
    return cache_dir() / "runners" / name
