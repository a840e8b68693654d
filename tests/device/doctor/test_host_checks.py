from __future__ import annotations

import pytest

from slmdeploy.device.doctor.host_checks import (
    EXPORT_MEMORY_BYTES,
    LITTLE_DISK_BYTES,
    NO_DISK_BYTES,
    Requirement,
    judge_disk,
    judge_extra,
    judge_memory,
    judge_python,
    parse_requirements,
)

LINES = [
    "click>=8.1",
    'torch==2.13.0; extra == "executorch"',
    "executorch (==1.5.1) ; extra == 'executorch'",
    'slmdeploy[models]; extra == "executorch"',
    'gguf>=0.17; extra == "models"',
    'numpy<2; extra == "tflite-runtime"',
]


def test_the_packages_of_an_extra_are_found_with_their_pins():
    assert parse_requirements(LINES, "executorch") == (
        Requirement("torch", "==2.13.0"),
        Requirement("executorch", "==1.5.1"),
    )


def test_an_extra_that_is_not_there_has_no_packages():
    assert parse_requirements(LINES, "coreml") == ()


@pytest.mark.parametrize(
    ("specifier", "version", "status"),
    [
        ("==2.13.0", "2.13.0", "ok"),
        ("==2.13.0", "2.13.0+cpu", "ok"),
        ("==2.13", "2.13.0", "ok"),
        ("==2.13.0", "2.14.0", "fail"),
        (">=0.17", "0.9", "fail"),
        (">=0.17,<1", "0.19.0", "ok"),
        (">=0.17,<1", "1.0", "fail"),
        ("", "3", "ok"),
        ("==2.13.0", None, "warn"),
    ],
)
def test_an_extra_is_held_against_its_pins(specifier, version, status):
    check = judge_extra("x", [Requirement("torch", specifier)], {"torch": version})
    assert check.status == status
    assert (check.fix is None) == (status == "ok")


def test_an_extra_that_nobody_describes_is_unknown():
    assert judge_extra("x", [], {}).status == "unknown"


def test_a_wrong_version_is_told_with_the_wanted_one():
    check = judge_extra("x", [Requirement("torch", "==2.13.0")], {"torch": "2.9.0"})
    assert check.value == "torch 2.9.0 (wants ==2.13.0)"


@pytest.mark.parametrize(
    ("available", "status"),
    [(EXPORT_MEMORY_BYTES, "ok"), (EXPORT_MEMORY_BYTES - 1, "warn"), (None, "unknown")],
)
def test_memory_is_held_against_what_an_export_takes(available, status):
    assert judge_memory(available).status == status


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (LITTLE_DISK_BYTES, "ok"),
        (LITTLE_DISK_BYTES - 1, "warn"),
        (NO_DISK_BYTES - 1, "fail"),
        (None, "unknown"),
    ],
)
def test_disk_is_warned_about_before_it_is_gone(free, status):
    assert judge_disk("disk", "/cache", free).status == status


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), "fail"), ((3, 11, 0), "ok")])
def test_python_is_3_11_or_later(version, status):
    assert judge_python(version).status == status
