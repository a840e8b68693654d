"""Which runtime a board can run, by facts as real boards give them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slmdeploy.device.facts import Reading
from slmdeploy.device.provision.board_python import Interpreter
from slmdeploy.device.provision.runtime_choice import BoardAbility, choose_python, refuse, why_not
from slmdeploy.errors import DeviceError

LOADER = "/lib/ld-linux-aarch64.so.1"


def python(version: str, numpy: str | None, target: str = "aarch64-linux-gnu") -> Interpreter:
    tag = "".join(version.split(".")[:2])
    return Interpreter("/usr/bin/python3", version, f"cpython-{tag}-{target}", numpy)


def board(
    *pythons: Interpreter,
    glibc: tuple[int, int],
    glibcxx: tuple[int, int, int],
    cxxabi: tuple[int, int, int] = (1, 3, 13),
) -> BoardAbility:
    return BoardAbility(
        machine=Reading("aarch64"),
        loaders=(LOADER,),
        symbols={"GLIBC": glibc, "GLIBCXX": glibcxx, "CXXABI": cxxabi},
        features=Reading(("asimd", "fp")),
        pythons=pythons,
    )


# Versions as the distributions ship them: Debian 12 and 13, Ubuntu 22.04, 20.04 and 24.04.
PI_OS_12 = board(python("3.11.2", "1.24.2"), glibc=(2, 36), glibcxx=(3, 4, 30))
PI_OS_13 = board(python("3.13.5", "2.2.4"), glibc=(2, 41), glibcxx=(3, 4, 33))
JETPACK_6 = board(python("3.10.12", "1.21.5"), glibc=(2, 35), glibcxx=(3, 4, 30))
JETPACK_5 = board(python("3.8.10", "1.17.4"), glibc=(2, 31), glibcxx=(3, 4, 28), cxxabi=(1, 3, 12))
UBUNTU_24 = board(python("3.12.3", None), glibc=(2, 39), glibcxx=(3, 4, 33))


def test_the_boards_own_numpy_is_used_where_it_fits() -> None:
    choice = choose_python("litert", PI_OS_12, "pi")
    assert (choice.wheel.python, choice.wheel.arch, choice.numpy) == ("3.11", "aarch64", None)
    assert choose_python("litert", PI_OS_13, "pi").numpy is None
    assert choose_python("tflite-runtime", PI_OS_12, "pi").numpy is None


@pytest.mark.parametrize(
    ("runtime", "on", "numpy"),
    [
        ("litert", JETPACK_6, "2.2.6"),  # has 1.21.5, and 1.23.2 is the least
        ("litert", UBUNTU_24, "2.2.6"),  # has none
        ("tflite-runtime", JETPACK_5, "1.24.4"),
        ("tflite-runtime", JETPACK_6, "1.26.4"),
    ],
)
def test_numpy_is_brought_where_the_boards_does_not_fit(
    runtime: str, on: BoardAbility, numpy: str
) -> None:
    choice = choose_python(runtime, on, "board")
    assert choice.numpy is not None
    assert (choice.numpy.version, choice.numpy.python) == (numpy, choice.wheel.python)


def test_numpy_2_does_not_go_with_tflite_runtime() -> None:
    on = replace(PI_OS_12, pythons=(python("3.11.2", "2.1.0"),))
    choice = choose_python("tflite-runtime", on, "pi")
    assert choice.numpy is not None
    assert choice.numpy.version == "1.26.4"


def test_another_python_of_the_board_is_taken_where_its_own_has_no_wheel() -> None:
    older = Interpreter("/usr/bin/python3.11", "3.11.9", "cpython-311-aarch64-linux-gnu", None)
    on = replace(PI_OS_13, pythons=(*PI_OS_13.pythons, older))
    assert choose_python("tflite-runtime", on, "pi").python == older


@pytest.mark.parametrize(
    ("runtime", "on", "reason", "instead"),
    [
        ("litert", JETPACK_5, "CPython 3.10, 3.11", "tflite-runtime"),
        ("tflite-runtime", PI_OS_13, "CPython 3.8, 3.9, 3.10 or 3.11", "litert"),
        ("tflite-runtime", UBUNTU_24, "has /usr/bin/python3 3.12.3", "litert"),
    ],
)
def test_a_python_without_a_wheel_is_refused_with_what_runs_instead(
    runtime: str, on: BoardAbility, reason: str, instead: str
) -> None:
    with pytest.raises(DeviceError, match=reason) as caught:
        choose_python(runtime, on, "board")
    assert caught.value.hint == f"Run: slmdeploy devices provision board --runtime {instead}"


def test_an_old_glibc_is_refused_although_the_wheels_tag_allows_it() -> None:
    on = replace(JETPACK_5, pythons=(python("3.10.4", None),))
    assert why_not("litert", on) == "it has glibc 2.31, and 2.34 is needed"


def test_an_old_libstdcxx_is_refused() -> None:
    on = board(python("3.11.2", None), glibc=(2, 36), glibcxx=(3, 4, 29))
    assert why_not("litert", on) == "it has GLIBCXX 3.4.29, and 3.4.30 is needed"


def test_the_native_runner_needs_no_python() -> None:
    assert why_not("executorch", replace(JETPACK_5, pythons=())) is None
    with pytest.raises(DeviceError, match="no Python") as caught:
        refuse("litert", replace(JETPACK_5, pythons=()), "board")
    assert "--runtime executorch" in str(caught.value.hint)


def test_a_system_of_32_bits_runs_nothing_whatever_its_kernel_says() -> None:
    arm = Interpreter("/usr/bin/python3", "3.11.2", "cpython-311-arm-linux-gnueabihf", None)
    on = replace(PI_OS_12, loaders=("/lib/ld-linux-armhf.so.3",), pythons=(arm,))
    for runtime in ("executorch", "litert", "tflite-runtime"):
        with pytest.raises(DeviceError, match="32 bits") as caught:
            refuse(runtime, on, "pi")
        assert caught.value.hint == "There is no runtime for this board."


def test_an_architecture_without_runtimes_is_refused() -> None:
    with pytest.raises(DeviceError, match="it is riscv64"):
        refuse("executorch", replace(PI_OS_12, machine=Reading("riscv64")), "board")


def test_a_processor_without_vectors_is_refused() -> None:
    on = replace(PI_OS_12, features=Reading(("fp",)))
    assert "lacks asimd" in str(why_not("executorch", on))


def test_what_could_not_be_read_refuses_nothing() -> None:
    unknown = BoardAbility(
        Reading(None, "no uname"), (), {}, Reading(None, "no cpuinfo"), PI_OS_12.pythons
    )
    assert why_not("executorch", unknown) is None
    assert why_not("litert", replace(unknown, machine=Reading("arm64"))) is None
