"""The attention's loops, compiled alone: the same bits from every instruction set.

A small program runs them over numbers of its own and writes what they gave. It is made for
this computer and for aarch64, and QEMU's user mode stands for processors that lack AVX512
or FMA, or are of the other architecture.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from slmdeploy.runtime import compiling
from slmdeploy.runtime.wheel import host_arch

KERNELS = compiling.NATIVE / "kernels"
PROGRAM = Path(__file__).with_name("attention_bits.cpp")

Logits = npt.NDArray[np.float32]
Attended = Callable[..., Logits]

pytestmark = pytest.mark.skipif(host_arch() != "x86_64", reason="it compares x86-64 with others")


def compiled(compiler: str, folder: Path, *, fma: bool) -> Path:
    """The program; its parts are compiled as ``runtime/compiling.py`` compiles the kernels."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    flags = [*compiling._KERNEL_FLAGS, f"-I{KERNELS}"]
    parts: list[tuple[Path, list[str]]] = [(PROGRAM, []), (KERNELS / "attend_baseline.cpp", [])]
    parts += [(KERNELS / "attend_fma.cpp", list(compiling._FMA_FLAGS))] if fma else []
    objects = []
    for source, own in parts:
        objects.append(folder / f"{source.stem}.o")
        argv = [compiler, *flags, *own, "-Werror", "-c", str(source), "-o", str(objects[-1])]
        subprocess.run(argv, check=True)
    program = folder / "attention"
    # Static, so that QEMU needs no C library of the other architecture.
    subprocess.run([compiler, "-static", *map(str, objects), "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for this computer."""
    return compiled("g++", tmp_path_factory.mktemp("x86"), fma=True)


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for a board."""
    return compiled("aarch64-linux-gnu-g++", tmp_path_factory.mktemp("arm"), fma=False)


def attended(program: Path, *before: str) -> Logits:
    """What the program computes, maybe under an emulator."""
    if before and shutil.which(before[0]) is None:
        pytest.skip(f"{before[0]} is not installed")
    done = subprocess.run([*before, str(program)], capture_output=True, check=True, timeout=60)
    found = np.frombuffer(done.stdout, "<f4")
    assert found.size > 10_000
    assert np.isfinite(found).all()
    return found


@pytest.mark.parametrize("cpu", ["cortex-a72", "cortex-a76"])
def test_aarch64_gives_the_bits_of_x86(here: Path, aarch64: Path, cpu: str) -> None:
    there = attended(aarch64, "qemu-aarch64-static", "-cpu", cpu)
    np.testing.assert_array_equal(there, attended(here, "qemu-x86_64-static", "-cpu", "Haswell"))


def test_avx512_changes_nothing(here: Path) -> None:
    without = attended(here, "qemu-x86_64-static", "-cpu", "Haswell")
    np.testing.assert_array_equal(attended(here), without)


def test_a_processor_without_fma_rounds_twice_but_hardly_moves(here: Path) -> None:
    old = attended(here, "qemu-x86_64-static", "-cpu", "Nehalem")
    assert 0 < np.abs(old - attended(here)).max() < 2e-6
