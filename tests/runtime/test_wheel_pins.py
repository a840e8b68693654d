from __future__ import annotations

import re

import pytest

from slmdeploy.runtime.requirements import REQUIREMENTS
from slmdeploy.runtime.wheel_packages import PYTHON_RUNTIMES, numpy_wheel, runtime_wheel
from slmdeploy.runtime.wheel_pins import ARCHITECTURES, PINNED, find_pinned, pinned_pythons


def test_every_wheel_has_a_whole_hash_of_its_own() -> None:
    hashes = [str(wheel.sha256) for wheel in PINNED]
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in hashes)
    assert len(set(hashes)) == len(hashes)


def test_each_is_for_one_of_the_architectures_and_has_a_folder_of_its_own() -> None:
    assert {wheel.arch for wheel in PINNED} == set(ARCHITECTURES)
    assert len({wheel.folder for wheel in PINNED}) == len(PINNED)


def test_a_folder_says_what_is_in_it() -> None:
    wheel = find_pinned("numpy", "3.11", "aarch64", versions=("2.2.6",))
    assert wheel is not None
    assert wheel.folder == "numpy-2.2.6-cp311-aarch64"


def test_the_first_version_that_has_a_wheel_is_taken() -> None:
    wheel = find_pinned("numpy", "3.14", "aarch64", versions=("2.2.6", "2.3.5"))
    assert wheel is not None
    assert wheel.version == "2.3.5"
    assert find_pinned("numpy", "3.14", "aarch64", versions=("1.26.4",)) is None


def test_pythons_are_in_the_order_of_their_numbers() -> None:
    assert pinned_pythons("tflite-runtime", "2.14.0", "aarch64") == ("3.8", "3.9", "3.10", "3.11")


@pytest.mark.parametrize("runtime", PYTHON_RUNTIMES)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_for_each_wheel_of_a_runtime_there_is_a_numpy_that_goes_with_it(
    runtime: str, arch: str
) -> None:
    about = PYTHON_RUNTIMES[runtime]
    needs = REQUIREMENTS[runtime].wheel
    assert needs is not None
    least, below = needs.numpy
    for python in pinned_pythons(about.project, about.version, arch):
        assert runtime_wheel(runtime, python, arch).version == needs.version
        numpy = tuple(map(int, numpy_wheel(runtime, python, arch).version.split(".")))
        assert numpy >= least
        assert below is None or numpy < below


@pytest.mark.parametrize("runtime", PYTHON_RUNTIMES)
def test_the_doctor_speaks_of_the_same_wheel(runtime: str) -> None:
    about, needs = PYTHON_RUNTIMES[runtime], REQUIREMENTS[runtime].wheel
    assert needs is not None
    assert (needs.name, needs.version) == (about.project, about.version)
