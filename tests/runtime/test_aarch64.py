"""The aarch64 runner, made by the cross compiler and run by QEMU's user mode.

QEMU runs the board's program against the cross compiler's own C library (``-L``), so no
root and no root file system are needed. Emulated processors differ: a Raspberry Pi 4 has
neither dot products nor float16 arithmetic, a Pi 5 has both. XNNPACK takes the kernels of the
processor that ``/proc/cpuinfo`` names, so QEMU shows the board's there: a file below ``-L``
stands for the one of the same name.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmdeploy import pipeline
from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.errors import OfflineError
from slmdeploy.runtime.build import runner_files
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.runtime.toolchain import glibc_needed
from slmdeploy.runtime.wheel import LIBRARIES, find_wheel, host_arch
from tests.boards.cpu_tree import cpuinfo
from tests.boards.raspberry_pi import PI4_CORES, PI5_CORES
from tests.runtime.conftest import Ran, Run, lay_out, score, start
from tests.runtime.programs import CONTEXT, VOCAB, Programs
from tests.runtime.sized import argv, save_sized

QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
SYSROOT = Path("/usr/aarch64-linux-gnu")
CORES = {"cortex-a72": PI4_CORES, "cortex-a76": PI5_CORES}
TOKENS = [int(x) for x in np.random.default_rng(5).integers(0, VOCAB, CONTEXT)]

pytestmark = [
    pytest.mark.board,
    pytest.mark.slow,
    pytest.mark.skipif(host_arch() == "aarch64", reason="this computer is an aarch64 board"),
    pytest.mark.skipif(QEMU is None, reason="qemu-user-static is not installed"),
    pytest.mark.skipif(
        shutil.which("aarch64-linux-gnu-g++") is None, reason="no aarch64 cross compiler"
    ),
]


def built(glibc: str | None) -> RunnerFiles:
    try:
        find_wheel("aarch64")
    except OfflineError as error:
        pytest.skip(f"aarch64: {error}")
    return runner_files("aarch64", kernels="llm", glibc=glibc)


@pytest.fixture(scope="module")
def old_glibc() -> RunnerFiles:
    """The runner for JetPack 5, linked by zig."""
    pytest.importorskip("ziglang", reason="ziglang is not installed, so no old glibc for aarch64")
    return built("2.31")


@pytest.fixture(scope="module", params=["2.31", None])
def board_files(request: pytest.FixtureRequest) -> RunnerFiles:
    """The runner, linked by zig and by the cross compiler."""
    if request.param is not None:
        request.getfixturevalue("old_glibc")
    return built(request.param)


def board_root(place: Path, cpu: str) -> Path:
    """The cross compiler's C library, and the processor that the board names."""
    root = place / "root"
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_text(cpuinfo(CORES[cpu]))
    for part in SYSROOT.iterdir():
        (root / part.name).symlink_to(part)
    return root


@pytest.fixture(scope="module", params=sorted(CORES))
def emulated(
    request: pytest.FixtureRequest,
    board_files: RunnerFiles,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Start the runner on an emulated Raspberry Pi 4 or 5."""
    place = tmp_path_factory.mktemp("aarch64")
    executable, root = lay_out(board_files, place / "r"), board_root(place, request.param)

    def run_emulated(model: Path, mode: str, *flags: str, tokens: Any = None) -> Ran:
        argv = [str(QEMU), "-cpu", request.param, "-L", str(root), str(executable)]
        argv += ["--model", str(model), "--mode", mode, "--threads", "2"]
        argv += ["--library", str(executable.parent / "libslmd_kernels_llm.so")]
        if tokens is None:
            return start([*argv, *flags])
        return start([*argv, "--tokens", "-", *flags], " ".join(map(str, tokens)))

    return run_emulated


@pytest.mark.parametrize("program", ["llm", "portable"])
def test_logits_are_those_of_this_computer(
    run: Run, emulated: Run, programs: Programs, program: str, tmp_path: Path
) -> None:
    model = getattr(programs, program)
    here = score(run, model, TOKENS, 21, tmp_path)
    there = score(emulated, model, TOKENS, 21, tmp_path)
    np.testing.assert_allclose(there, here, atol=1e-5)


def test_the_same_seed_gives_the_same_tokens_on_both_architectures(
    run: Run, emulated: Run, programs: Programs
) -> None:
    argv = ["--max-new", "16", "--temperature", "1.5", "--top-p", "0.95", "--seed", "8"]
    here = run(programs.llm, "generate", *argv, tokens=TOKENS[:7]).of("token")
    ran = emulated(programs.llm, "generate", *argv, tokens=TOKENS[:7])
    assert [e["id"] for e in ran.of("token")] == [e["id"] for e in here]
    assert ran.of("start")[0]["arch"] == "aarch64"


def test_errors_are_told_on_aarch64_as_well(emulated: Run, tmp_path: Path) -> None:
    ran = emulated(tmp_path / "none.pte", "describe")
    assert (ran.code, ran.error["cause"]) == (3, "file_not_found")


def test_inputs_of_any_size_are_taken_on_aarch64_as_well(emulated: Run, tmp_path: Path) -> None:
    model = save_sized(tmp_path / "model.pte")
    for shape in ((1, 1), (2, 6), (4, 6)):
        ran = emulated(model, "invoke", *argv(tmp_path, shape))
        file = ran.of("output")[0]["file"]
        given = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(np.fromfile(file, "<f4").reshape(shape), given * 3.0)
    ran = emulated(model, "invoke", *argv(tmp_path, (5, 6)))
    assert (ran.code, ran.error["cause"]) == (2, "bad_input")


def test_the_zig_linked_runner_needs_no_newer_glibc_than_2_31(old_glibc: RunnerFiles) -> None:
    for name in ("slmd-runner", "libslmd_kernels_llm.so", *LIBRARIES):
        asked = ["readelf", "--version-info", "--wide", str(old_glibc.files[name])]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        minors = [int(minor) for minor in re.findall(r"Name: GLIBC_2\.(\d+)", said)]
        assert max(minors) <= 31, name
        assert glibc_needed(old_glibc.files[name]) == (2, max(minors)), name


def test_the_c_plus_plus_library_of_ubuntu_20_04_is_enough(old_glibc: RunnerFiles) -> None:
    text = b"".join(path.read_bytes() for path in old_glibc.files.values())
    assert max(int(patch) for patch in re.findall(rb"GLIBCXX_3\.4\.(\d+)\0", text)) <= 28


def test_everything_on_the_board_is_about_12_megabytes(old_glibc: RunnerFiles) -> None:
    assert sum(path.stat().st_size for path in old_glibc.files.values()) < 12_500_000


@pytest.fixture(scope="module")
def kjv_bundle(tiny_kjv: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The trained tiny-kjv in float32."""
    output = tmp_path_factory.mktemp("kjv")
    (attempt,) = pipeline.export(
        str(tiny_kjv), ["rpi5-executorch"], recipe="none", context=256, output=output, verify=False
    )
    assert attempt.value is not None, attempt.error
    return open_bundle(attempt.value.bundle)


def test_a_trained_model_gives_this_computers_logits_to_the_last_bit(
    run: Run, emulated: Run, kjv_bundle: Bundle, tmp_path: Path
) -> None:
    golden = kjv_bundle.golden()
    tokens = [*golden["prompt"].tolist(), *golden["continuation"].tolist()]
    model, prompt = kjv_bundle.artifact_path, len(golden["prompt"])
    here = score(run, model, tokens, prompt, tmp_path)
    there = score(emulated, model, tokens, prompt, tmp_path)
    np.testing.assert_array_equal(there, here)
