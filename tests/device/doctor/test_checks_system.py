"""What a board is, against what the runtimes ask for."""

from __future__ import annotations

import dataclasses

import pytest

from slmdeploy.device.doctor.asked import Asked, Needs
from slmdeploy.device.doctor.checks_system import (
    judge_architecture,
    judge_cpu,
    judge_features,
    judge_glibc,
    judge_l4t,
    judge_libstdcxx,
    judge_pages,
    judge_python,
    judge_runtimes,
    system_checks,
)
from slmdeploy.device.doctor.gather import facts_of
from slmdeploy.device.doctor.parsers import Library, Python, System
from slmdeploy.device.doctor.places import Home
from slmdeploy.device.facts import Cpu, Reading
from slmdeploy.device.provision.runtimes import InstalledRuntime
from slmdeploy.device.types import Device
from slmdeploy.runtime.requirements import REQUIREMENTS
from tests.device.doctor_said import PI5

BOARD = Device(name="pi5-a", host="10.0.0.5", user="lab", board="rpi5")
EXECUTORCH, LITERT, TFLITE = (REQUIREMENTS[n] for n in ("executorch", "litert", "tflite-runtime"))
ARM64 = "/lib/ld-linux-aarch64.so.1"
PI4_FEATURES = ("asimd", "cpuid", "crc32", "evtstrm", "fp")
PI5_FEATURES = (*PI4_FEATURES, "asimddp", "asimdhp", "atomics", "fphp")
NEEDS = Needs(
    {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 11)},
    align=65536,
    least_glibc=(2, 27),
    relinks=True,
    can_relink=True,
    advice="Use a newer system on the board.",
)


def system(machine="aarch64", loaders=(ARM64,)):
    return Reading(System("6.6.51", machine, "lab", loaders))


def test_a_64_bit_system_is_fine():
    assert judge_architecture(system(), Reading(64), EXECUTORCH, "aarch64").status == "ok"


@pytest.mark.parametrize(
    ("found", "bits", "wanted"),
    [
        (system("armv7l", ("/lib/ld-linux-armhf.so.3",)), 32, None),
        (system(loaders=("/lib/ld-linux-armhf.so.3",)), 32, None),  # 64-bit kernel alone
        (system(loaders=("/lib/ld-musl-aarch64.so.1",)), 64, None),
        (system("riscv64", ()), 64, None),
        (system(), 64, "x86_64"),
    ],
)
def test_what_our_programs_do_not_start_on(found, bits, wanted):
    assert judge_architecture(found, Reading(bits), EXECUTORCH, wanted).status == "fail"


def test_a_32_bit_system_on_a_64_bit_kernel_is_called_so():
    found = system(loaders=("/lib/ld-linux-armhf.so.3",))
    check = judge_architecture(found, Reading(32), EXECUTORCH, None)
    assert str(check.value).startswith("aarch64 kernel with a 32-bit system")
    assert "64-bit" in str(check.fix)


@pytest.mark.parametrize(("threads", "status"), [(None, "ok"), (4, "ok"), (6, "warn")])
def test_threads_beyond_the_cores_are_warned_about(threads, status):
    asked = Asked("target x", EXECUTORCH, threads=threads)
    check = judge_cpu(Reading(Cpu(4, "Cortex-A76", ())), asked)
    assert (check.status, check.value[:14]) == (status, "4 x Cortex-A76")


@pytest.mark.parametrize(
    ("features", "status"),
    [(PI5_FEATURES, "ok"), (PI4_FEATURES, "warn"), (("fp", "evtstrm"), "fail")],
)
@pytest.mark.parametrize("known", [EXECUTORCH, LITERT])
def test_features_that_are_needed_and_wanted(features, status, known):
    check = judge_features(Reading(Cpu(4, None, features)), "aarch64", known)
    assert check.status == status


def test_a_feature_that_most_boards_lack_is_only_said():
    check = judge_features(Reading(Cpu(4, None, PI5_FEATURES)), "aarch64", EXECUTORCH)
    assert (check.status, check.value) == ("ok", "asimd, asimddp, asimdhp, no i8mm")


@pytest.mark.parametrize(
    ("schemes", "status"), [({"8da4w", "w8"}, "warn"), ({"none"}, "ok"), ({"w4"}, "ok")]
)
def test_dot_products_matter_only_where_activations_have_8_bits(schemes, status):
    cpu = Reading(Cpu(4, None, PI4_FEATURES))
    assert judge_features(cpu, "aarch64", EXECUTORCH, frozenset(schemes)).status == status


def test_a_raspberry_pi_4_is_told_what_it_misses():
    check = judge_features(Reading(Cpu(4, None, PI4_FEATURES)), "aarch64", EXECUTORCH)
    assert "no asimddp" in check.value
    assert "slower" in check.fix


@pytest.mark.parametrize(
    ("glibc", "can_relink", "status"),
    [
        ((2, 36), False, "ok"),
        ((2, 34), False, "ok"),
        ((2, 31), True, "ok"),  # JetPack 5: the runner is linked for it
        ((2, 31), False, "fail"),
        ((2, 26), True, "fail"),
    ],
)
def test_glibc_of_the_board_against_the_files(glibc, can_relink, status):
    needs = dataclasses.replace(NEEDS, can_relink=can_relink)
    assert judge_glibc(Reading(glibc), needs).status == status


def test_what_links_for_an_old_glibc_is_named():
    needs = dataclasses.replace(NEEDS, can_relink=False)
    assert judge_glibc(Reading((2, 31)), needs).fix == "pip install 'slmdeploy[cross]'"


def test_a_runtime_that_is_not_linked_here_names_another():
    needs = dataclasses.replace(NEEDS, relinks=False, advice="Use the runtime tflite-runtime.")
    assert judge_glibc(Reading((2, 31)), needs).fix == "Use the runtime tflite-runtime."


@pytest.mark.parametrize(
    ("has", "status"),
    [
        ({"GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13)}, "ok"),
        ({"GLIBCXX": (3, 4, 21), "CXXABI": (1, 3, 13)}, "fail"),
        ({"GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 9)}, "fail"),
    ],
)
def test_libstdcxx_of_the_board_against_the_files(has, status):
    assert judge_libstdcxx(BOARD, Reading(Library("/lib/x", has)), NEEDS).status == status


def test_a_board_without_libstdcxx_is_told_the_package():
    check = judge_libstdcxx(BOARD, Reading(None, "the board has no libstdc++.so.6"), NEEDS)
    assert (check.status, check.fix) == (
        "fail",
        "ssh lab@10.0.0.5 'sudo apt-get install -y libstdc++6'",
    )


@pytest.mark.parametrize(
    ("python", "known", "status"),
    [
        (Python((3, 11, 2), (1, 24, 2)), LITERT, "ok"),
        (Python((3, 13, 1), None), LITERT, "ok"),
        (Python((3, 8, 10), None), LITERT, "fail"),
        (Python((3, 8, 10), None, ("3.8", "3.10")), LITERT, "ok"),
        (Python((3, 13, 1), None), TFLITE, "fail"),
        (Python((3, 8, 10), None), EXECUTORCH, "ok"),
    ],
)
def test_python_against_the_wheels(python, known, status):
    assert judge_python(Reading(python), "aarch64", known).status == status


def test_no_python_matters_only_to_what_runs_in_it():
    none = Reading(None, "the board has no python3")
    assert judge_python(none, "aarch64", EXECUTORCH).status == "ok"
    check = judge_python(none, "aarch64", LITERT)
    assert (check.status, check.fix) == ("fail", "Use the runtime tflite-runtime.")


def test_a_numpy_that_does_not_go_with_the_runtime_is_brought():
    check = judge_python(Reading(Python((3, 11, 2), (2, 1, 0))), "aarch64", TFLITE)
    assert check.value == "3.11.2, numpy 2.1.0 does not go with it: provision brings its own"


@pytest.mark.parametrize(
    ("page", "align", "status"),
    [(4096, 4096, "ok"), (16384, 65536, "ok"), (16384, 4096, "fail"), (65536, 65536, "ok")],
)
def test_pages_must_not_be_larger_than_the_libraries_alignment(page, align, status):
    assert judge_pages(BOARD, Reading(page), align).status == status


@pytest.mark.parametrize(
    ("release", "known", "status"),
    [
        ((36, "4.3"), EXECUTORCH, "ok"),
        ((35, "5.0"), EXECUTORCH, "ok"),
        ((35, "5.0"), LITERT, "fail"),
        ((35, "5.0"), TFLITE, "ok"),
        ((32, "7.1"), EXECUTORCH, "fail"),
        ((32, "7.1"), TFLITE, "fail"),
    ],
)
def test_jetpack_against_the_runtime(release, known, status):
    assert judge_l4t(Reading(release), known).status == status


def test_jetpack_5_is_told_another_runtime_and_jetpack_4_is_not():
    assert "tflite-runtime" in judge_l4t(Reading((35, "5.0")), LITERT).fix
    assert "tflite-runtime" not in judge_l4t(Reading((32, "7.1")), LITERT).fix


@pytest.mark.parametrize(
    ("home", "known", "value"),
    [
        (Home("/h/.slmdeploy", "/h", writable=True), EXECUTORCH, "none; push brings executorch"),
        (Home("/h/.slmdeploy", "/h", writable=True), LITERT, "none; push brings litert"),
        (
            Home(
                *("/h/.slmdeploy", "/h"),
                writable=True,
                folders=("litert/0123",),
                ready=(InstalledRuntime("litert", "2.3.0", "/h/x", python_version="3.11.2"),),
            ),
            LITERT,
            "litert 2.3.0 for Python 3.11.2",
        ),
    ],
)
def test_runtimes_that_are_there_and_that_push_brings(home, known, value):
    facts = dataclasses.replace(facts_of(PI5, 0, 0), home=Reading(home))
    check = judge_runtimes(facts, Asked("it", known))
    assert (check.status, check.value, check.fix) == ("ok", value, None)


def test_a_board_that_told_nothing_is_unknown_in_everything_but_python():
    # Nothing of ExecuTorch runs in Python, so that check does not depend on the board.
    facts = facts_of("", 0, 0)
    checks = system_checks(BOARD, facts, Asked("it", EXECUTORCH), NEEDS, "x86_64")
    assert {c.name: c.status for c in checks if c.status != "unknown"} == {"python": "ok"}


def test_a_recorded_raspberry_pi_5_can_run_executorch():
    asked = Asked("target x", EXECUTORCH, board="rpi5", arch="aarch64", threads=1)
    checks = list(system_checks(BOARD, facts_of(PI5, 0, 0), asked, NEEDS, "x86_64"))
    assert {check.name for check in checks if check.status != "ok"} == set()
    assert "jetpack" not in {check.name for check in checks}
