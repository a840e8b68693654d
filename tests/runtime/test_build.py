from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slmdeploy.errors import CompilerError, DiskSpaceError, HostError
from slmdeploy.progress import Progress, Step
from slmdeploy.runtime import build, compiling
from slmdeploy.runtime.build import runner_files
from slmdeploy.runtime.compiling import KERNEL_LIBRARY, RUNNER, Plan
from slmdeploy.runtime.wheel import LIBRARIES

Glibc = tuple[int, int]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runners"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace compilers by ones that only write files; gives the keys of what was compiled."""
    made: list[str] = []

    def fake_compile(plan: Plan, objects: Path, progress: Progress) -> None:
        made.append(plan.key())

    def fake_link(plan: Plan, objects: Path, out: Path, glibc: Glibc | None = None) -> None:
        wants = "2.17" if glibc else "2.34"
        for name in (RUNNER, KERNEL_LIBRARY):
            (out / name).write_bytes(f"\0GLIBC_{wants}\0".encode())

    monkeypatch.setattr(build, "compile_all", fake_compile)
    monkeypatch.setattr(build, "link_all", fake_link)
    return made


def test_the_runner_comes_with_the_wheels_libraries(cache: Path, compiled: list[str]) -> None:
    files = runner_files("host", kernels="llm")
    assert set(files.files) == {RUNNER, KERNEL_LIBRARY, *LIBRARIES}
    assert (files.executable, files.libraries) == (RUNNER, (KERNEL_LIBRARY,))
    assert all(path.is_file() for path in files.files.values())


def test_portable_programs_need_no_kernel_library(cache: Path, compiled: list[str]) -> None:
    files = runner_files("host", kernels="portable")
    assert files.libraries == ()
    assert KERNEL_LIBRARY not in files.files


def test_a_runner_is_compiled_once(cache: Path, compiled: list[str]) -> None:
    first = runner_files("host", kernels="llm")
    assert runner_files("host", kernels="llm") == first
    assert len(compiled) == 1


def test_other_sources_flags_or_compilers_make_another_build(
    cache: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner_files("host", kernels="llm")
    found = build.find_toolchain
    monkeypatch.setattr(
        build, "find_toolchain", lambda arch: replace(found(arch), version="g++ 99")
    )
    runner_files("host", kernels="llm")
    monkeypatch.setattr(compiling, "_KERNEL_FLAGS", ("-O0",))
    runner_files("host", kernels="llm")
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "main.cpp").write_text("int main() {}")
    monkeypatch.setattr(compiling, "NATIVE", tmp_path / "native")
    runner_files("host", kernels="llm")
    assert len(set(compiled)) == 4


def test_boards_of_any_glibc_share_what_was_compiled(cache: Path, compiled: list[str]) -> None:
    plain = runner_files("host", kernels="llm").files[RUNNER]
    found = {
        glibc: runner_files("host", kernels="llm", glibc=glibc).files[RUNNER]
        for glibc in ("2.27", "2.31", "2.34", "2.39")
    }
    assert found["2.34"] == found["2.39"] == plain
    assert found["2.27"] == found["2.31"] != plain
    assert len(compiled) == 1


def test_a_glibc_older_than_that_of_the_libraries_is_refused(
    cache: Path, compiled: list[str]
) -> None:
    with pytest.raises(CompilerError, match=r"need glibc 2\.27"):
        runner_files("host", kernels="llm", glibc="2.17")


def test_a_runner_that_still_needs_a_newer_glibc_is_refused(
    cache: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = build.link_all
    monkeypatch.setattr(build, "link_all", lambda p, i, o, glibc=None: fake(p, i, o))
    with pytest.raises(CompilerError, match=r"needs glibc 2\.34, but the target has 2\.31"):
        runner_files("host", kernels="llm", glibc="2.31")


def broken(error: BaseException) -> Callable[[Plan, Path, Progress], None]:
    def fails(plan: Plan, objects: Path, progress: Progress) -> None:
        (objects / "half.o").write_text("half")
        raise error

    return fails


@pytest.mark.parametrize("error", [CompilerError("no"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(build, "compile_all", broken(error))
    with pytest.raises(type(error)):
        runner_files("host", kernels="llm")
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskSpaceError), (errno.EACCES, HostError)]
)
def test_a_cache_that_takes_no_files_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[HostError]
) -> None:
    monkeypatch.setattr(build, "compile_all", broken(OSError(number, os.strerror(number))))
    with pytest.raises(kind, match="runners"):
        runner_files("host", kernels="llm")


def test_what_the_compiler_said_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "native" / "kernels").mkdir(parents=True)
    (tmp_path / "native" / "main.cpp").write_text("int main() { return nothing; }")
    monkeypatch.setattr(compiling, "NATIVE", tmp_path / "native")
    with pytest.raises(CompilerError, match=r"main\.cpp.*'nothing' was not declared"):
        runner_files("host", kernels="llm")


def test_what_the_linker_said_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "native" / "kernels").mkdir(parents=True)
    (tmp_path / "native" / "main.cpp").write_text("int f(); int main() { return f(); }")
    monkeypatch.setattr(compiling, "NATIVE", tmp_path / "native")
    with pytest.raises(CompilerError, match=r"undefined reference to .f\(\)"):
        runner_files("host", kernels="llm")


def test_progress_counts_what_is_compiled(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "native" / "kernels").mkdir(parents=True)
    (tmp_path / "native" / "main.cpp").write_text("int main() {}")
    (tmp_path / "native" / "kernels" / "one.cpp").write_text("int one;")
    monkeypatch.setattr(compiling, "NATIVE", tmp_path / "native")
    steps: list[Step] = []
    runner_files("host", kernels="llm", progress=steps.append)
    assert [(step.done, step.total) for step in steps if step.total] == [(0, 2), (1, 2), (2, 2)]
    assert steps[-1].finished
