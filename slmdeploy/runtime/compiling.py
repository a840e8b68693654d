"""Compiles and links the native part: which flags, which libraries, in which order."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slmdeploy.errors import CompilerError
from slmdeploy.progress import Progress, Step
from slmdeploy.runtime.toolchain import GlibcVersion, Toolchain
from slmdeploy.runtime.wheel import LIBRARIES, RuntimeWheel

__all__ = ["KERNEL_LIBRARY", "NATIVE", "RUNNER", "Plan", "compile_all", "link_all", "make_plan"]

RUNNER: Final = "slmd-runner"
KERNEL_LIBRARY: Final = "libslmd_kernels_llm.so"
NATIVE: Final = Path(__file__).parent / "native"

_COMMON = ("-std=c++17", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
# Fused multiply-add would let two machines sample different tokens from the same logits.
_RUNNER_FLAGS = (*_COMMON, "-O2", "-ffp-contract=off")
# Nothing that the code does not say itself is fused or reordered, so that all machines give
# the same logits.
_KERNEL_FLAGS = (
    *_COMMON,
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)
# By the end of a source's name: for the processors that have more than every x86-64 has.
_FMA_SOURCE = "_fma"
_FMA_FLAGS = ("-mavx2", "-mfma")
# How the wheel's own libraries were built.
_DEFINES = (
    "-DC10_USING_CUSTOM_GENERATED_MACROS",
    "-DET_EVENT_TRACER_ENABLED",
    "-DET_USE_THREADPOOL",
)
_TOLD = (" error: ", "undefined reference", "cannot find")


@dataclass(frozen=True)
class _Part:
    """A program or library: its sources, and how they are compiled and linked."""

    name: str
    sources: tuple[Path, ...]
    flags: tuple[str, ...]
    link: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """All that decides what a build gives.

    Attributes:
        version: Of the sources, 12 hex digits of their hash; what the runner calls its
            own version.
    """

    wheel: RuntimeWheel
    toolchain: Toolchain
    version: str
    parts: tuple[_Part, ...]

    def key(self) -> str:
        """Name of the build: 16 hex digits."""
        parts = [(part.name, part.flags, part.link, part.libraries) for part in self.parts]
        machine = (self.wheel.version, self.wheel.arch, self.toolchain.version)
        decides = (*machine, self.version, parts, _FMA_FLAGS)
        return hashlib.sha256(repr(decides).encode()).hexdigest()[:16]


def make_plan(wheel: RuntimeWheel, toolchain: Toolchain) -> Plan:
    """What is to be built: the runner, and the library of ``llama::`` operators."""
    version = _sources_version()
    named = (f'-DSLMD_VERSION="{version}"', f'-DSLMD_RUNTIME_VERSION="{wheel.version}"')
    runner = _Part(
        RUNNER,
        tuple(sorted(NATIVE.glob("*.cpp"))),
        (*_RUNNER_FLAGS, *named),
        ("-Wl,-rpath,$ORIGIN",),
        LIBRARIES,
    )
    kernels = _Part(
        KERNEL_LIBRARY,
        tuple(sorted((NATIVE / "kernels").glob("*.cpp"))),
        _KERNEL_FLAGS,
        ("-shared", "-Wl,-rpath,$ORIGIN"),
        LIBRARIES[:2],
    )
    return Plan(wheel, toolchain, version, (runner, kernels))


def compile_all(plan: Plan, objects: Path, progress: Progress) -> None:
    """Compile every source into a folder, as many at once as there are processors.

    Raises:
        CompilerError: The compiler failed.
        OSError: The disk is full.
    """
    step = f"compile the runner for {plan.wheel.arch}"
    jobs = [(part, source) for part in plan.parts for source in part.sources]
    progress(Step(step, 0, len(jobs)))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        pending = [pool.submit(_compile, plan, part, source, objects) for part, source in jobs]
        for done, future in enumerate(pending, 1):
            try:
                future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            progress(Step(step, done, len(jobs), finished=done == len(jobs)))


def link_all(plan: Plan, objects: Path, out: Path, glibc: GlibcVersion | None = None) -> None:
    """Link what was compiled.

    Args:
        plan: What is built.
        objects: Where ``compile_all`` put its results.
        out: The folder that gets the runner and the kernel library.
        glibc: Oldest glibc to start on, by zig's linker; ``None`` for the compiler's.

    Raises:
        CompilerError: The linker failed.
        MissingExtraError: ``glibc`` was given and ``ziglang`` is not installed.
        OSError: The disk is full.
    """
    for part in plan.parts:
        inputs = [str(_object(part, source, objects)) for source in part.sources]
        inputs += _link_flags(plan, part, out / part.name)
        if glibc is None:
            _run([plan.toolchain.compiler, *inputs], part.name)
        else:
            front, back, environment = plan.toolchain.zig_link(glibc)
            # The wheel's libraries bring needs of their own, which zig need not know.
            loose = ["-Wl,--allow-shlib-undefined"]
            _run([*front, *inputs, *loose, *back], part.name, environment)


def _sources_version() -> str:
    digest = hashlib.sha256()
    for path in sorted(NATIVE.rglob("*")):
        if path.suffix in {".cpp", ".h"}:
            digest.update(path.relative_to(NATIVE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _object(part: _Part, source: Path, objects: Path) -> Path:
    return objects / f"{part.name}.{source.stem}.o"


def _compile(plan: Plan, part: _Part, source: Path, objects: Path) -> None:
    include = plan.wheel.include
    argv = [plan.toolchain.compiler, "-c", *part.flags, *_DEFINES]
    if plan.wheel.arch == "x86_64" and source.stem.endswith(_FMA_SOURCE):
        argv += _FMA_FLAGS
    argv += [f"-ffile-prefix-map={NATIVE}=.", f"-I{NATIVE}"]
    # As system headers: their warnings are not ours.
    argv += ["-isystem", str(include)]
    argv += ["-isystem", str(include / "executorch/runtime/core/portable_type/c10")]
    _run([*argv, str(source), "-o", str(_object(part, source, objects))], source.name)


def _link_flags(plan: Plan, part: _Part, out: Path) -> list[str]:
    # Kernels and backends register themselves when they are loaded: nothing refers to
    # them, so a linker left to itself would drop them.
    flags = [f"-L{plan.wheel.lib}", "-Wl,--no-as-needed"]
    flags += [f"-l:{name}" for name in part.libraries]
    return [*flags, "-Wl,--as-needed", "-ldl", *part.link, "-s", "-o", str(out)]


def _run(argv: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    environment = {**(environment or os.environ), "LC_ALL": "C"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        return
    lines = done.stderr.strip().splitlines()
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    telling = [line for line in lines if any(sign in line for sign in _TOLD)]
    telling += lines[-1:] or ["it said nothing"]
    raise CompilerError(
        f"{Path(argv[0]).name} failed on {what}: {telling[0]}",
        hint="slmdeploy doctor shows which compiler is used.",
    )
