"""Compiles the runner and the kernel library, once, into the user's cache.

A build is named by a hash of everything that decides it: the sources, the flags, the
compiler, ExecuTorch's version, the architecture and the glibc. It is made in a folder of
its own and renamed when it is whole; a lock lets a second process wait for the first.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from slmdeploy.errors import CompilerError, DiskSpaceError, HostError
from slmdeploy.places import cache_dir
from slmdeploy.progress import Progress, Step, silent
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.toolchain import (
    Toolchain,
    find_toolchain,
    glibc_needed,
    parse_glibc,
)
from slmdeploy.runtime.wheel import LIBRARIES, RuntimeWheel, find_wheel

__all__ = ["KERNEL_LIBRARY", "NATIVE", "RUNNER", "Kernels", "runner_files", "sources_version"]

Kernels = Literal["portable", "llm"]

RUNNER: Final = "slmd-runner"
KERNEL_LIBRARY: Final = "libslmd_kernels_llm.so"
NATIVE: Final = Path(__file__).parent / "native"

_COMMON = ("-std=c++17", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
# Fused multiply-add would let two machines sample different tokens from the same logits.
_RUNNER_FLAGS = (*_COMMON, "-O2", "-ffp-contract=off")
# Lets a compiler reorder sums, so that dot products become vector code; infinities and
# NaN keep their meaning.
_KERNEL_FLAGS = (
    *_COMMON,
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
)
# How the wheel's own libraries were built.
_DEFINES = (
    "-DC10_USING_CUSTOM_GENERATED_MACROS",
    "-DET_EVENT_TRACER_ENABLED",
    "-DET_USE_THREADPOOL",
)


@dataclass(frozen=True)
class _Part:
    """A program or library: its sources, and how they are compiled and linked."""

    name: str
    sources: tuple[Path, ...]
    flags: tuple[str, ...]
    link: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """All that decides what a build gives."""

    wheel: RuntimeWheel
    toolchain: Toolchain
    glibc: str | None
    parts: tuple[_Part, ...]

    def key(self) -> str:
        """Name of the build: 16 hex digits."""
        digest = hashlib.sha256()
        for word in (self.wheel.version, self.wheel.arch, self.glibc or "", self.toolchain.version):
            digest.update(word.encode() + b"\0")
        for part in self.parts:  # their flags name the sources' version
            digest.update(repr((part.name, part.flags, part.link, part.libraries)).encode())
        return digest.hexdigest()[:16]


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
    plan = _Plan(wheel, find_toolchain(wheel.arch), glibc, _parts(wheel.version))
    folder = _built(plan, progress)
    files = {name: wheel.lib / name for name in LIBRARIES}
    files[RUNNER] = folder / RUNNER
    libraries: tuple[str, ...] = ()
    if kernels == "llm":
        libraries = (KERNEL_LIBRARY,)
        files[KERNEL_LIBRARY] = folder / KERNEL_LIBRARY
    return RunnerFiles(files, RUNNER, libraries)


def sources_version() -> str:
    """What the runner calls its version: 12 hex digits of a hash of its sources."""
    digest = hashlib.sha256()
    for path in sorted(NATIVE.rglob("*")):
        if path.suffix in {".cpp", ".h"}:
            digest.update(path.relative_to(NATIVE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _parts(version: str) -> tuple[_Part, ...]:
    named = (f'-DSLMD_VERSION="{sources_version()}"', f'-DSLMD_RUNTIME_VERSION="{version}"')
    return (
        _Part(
            RUNNER,
            tuple(sorted(NATIVE.glob("*.cpp"))),
            (*_RUNNER_FLAGS, *named),
            ("-Wl,-rpath,$ORIGIN",),
            LIBRARIES,
        ),
        _Part(
            KERNEL_LIBRARY,
            tuple(sorted((NATIVE / "kernels").glob("*.cpp"))),
            (*_KERNEL_FLAGS, *named),
            ("-shared", "-Wl,-rpath,$ORIGIN"),
            LIBRARIES[:2],
        ),
    )


def _built(plan: _Plan, progress: Progress) -> Path:
    """The folder of the build, made now if it is not there."""
    runners = cache_dir() / "runners"
    folder = runners / f"{plan.wheel.arch}-{plan.key()}"
    if folder.is_dir():
        return folder
    with _full_disk_is_ours(runners):
        runners.mkdir(parents=True, exist_ok=True)
        with _lock(runners / f".{folder.name}.lock"):
            if folder.is_dir():  # another process made it meanwhile
                return folder
            with tempfile.TemporaryDirectory(prefix=".build-", dir=runners) as scratch:
                _compile_and_link(plan, Path(scratch), progress)
                made = Path(scratch) / "made"
                made.rename(folder)
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that the system lets go of when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _full_disk_is_ours(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise HostError(f"The runner could not be built in {folder}: {error}.") from error
        raise DiskSpaceError(
            f"There is no room for the runner in {folder}.",
            hint="Make room, or set SLMDEPLOY_CACHE_DIR to another disk.",
        ) from error


def _compile_and_link(plan: _Plan, scratch: Path, progress: Progress) -> None:
    step = f"compile the runner for {plan.wheel.arch}"
    (scratch / "made").mkdir()
    jobs = [(part, source) for part in plan.parts for source in part.sources]
    progress(Step(step, 0, len(jobs)))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        pending = [pool.submit(_compile, plan, part, source, scratch) for part, source in jobs]
        for done, future in enumerate(pending, 1):
            try:
                future.result()
            except CompilerError:
                pool.shutdown(cancel_futures=True)
                raise
            progress(Step(step, done, len(jobs)))
    for part in plan.parts:
        _link(plan, part, scratch)
    progress(Step(step, finished=True))


def _object(part: _Part, source: Path, scratch: Path) -> Path:
    return scratch / f"{part.name}.{source.stem}.o"


def _compile(plan: _Plan, part: _Part, source: Path, scratch: Path) -> None:
    include = plan.wheel.include
    argv = [plan.toolchain.compiler, "-c", *part.flags, *_DEFINES]
    argv += [f"-ffile-prefix-map={NATIVE}=.", f"-I{NATIVE}"]
    # As system headers: their warnings are not ours.
    argv += ["-isystem", str(include)]
    argv += ["-isystem", str(include / "executorch/runtime/core/portable_type/c10")]
    _run([*argv, str(source), "-o", str(_object(part, source, scratch))], source.name)


def _link(plan: _Plan, part: _Part, scratch: Path) -> None:
    """Link by the compiler; by zig where that would need a newer glibc than is wanted."""
    out = scratch / "made" / part.name
    objects = [str(_object(part, source, scratch)) for source in part.sources]
    # Kernels and backends register themselves when they are loaded: nothing refers to
    # them, so a linker left to itself would drop them.
    needed = [f"-L{plan.wheel.lib}", "-Wl,--no-as-needed"]
    needed += [f"-l:{name}" for name in part.libraries]
    needed += ["-Wl,--as-needed", "-ldl", *part.link, "-s", "-o", str(out)]
    _run([plan.toolchain.compiler, *objects, *needed], part.name)
    wanted = parse_glibc(plan.glibc) if plan.glibc else None
    if wanted is None or glibc_needed(out) <= wanted:
        return
    front, back, environment = plan.toolchain.zig_link(wanted)
    # The wheel's libraries bring their own needs, which zig's stubs need not all have.
    loose = ["-Wl,--allow-shlib-undefined"]
    _run([*front, *objects, *needed, *loose, *back], part.name, environment)
    if glibc_needed(out) > wanted:
        major, minor = glibc_needed(out)
        raise CompilerError(
            f"{part.name} needs glibc {major}.{minor}, but the target has {plan.glibc}.",
            hint="Build on an older system, or set the target's glibc higher if the board has it.",
        )


def _run(argv: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    environment = {**(environment or os.environ), "LC_ALL": "C"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        return
    lines = done.stderr.strip().splitlines()
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    signs = (" error: ", "undefined reference", "cannot find")
    telling = [line for line in lines if any(sign in line for sign in signs)]
    telling += lines[-1:] or ["it said nothing"]
    raise CompilerError(
        f"{Path(argv[0]).name} failed on {what}: {telling[0]}",
        hint="slmdeploy doctor shows which compiler is used.",
    )
