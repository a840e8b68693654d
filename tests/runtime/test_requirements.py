"""What the runtimes ask for, held against the files where these are on this computer."""

from __future__ import annotations

import pytest

from slmdeploy.errors import OfflineError
from slmdeploy.runtime.elf import merge_needs, read_elf
from slmdeploy.runtime.requirements import REQUIREMENTS
from slmdeploy.runtime.wheel import LIBRARIES, find_wheel
from slmdeploy.runtime.wheel_packages import find_package, package_files, runtime_wheel


def test_the_table_of_executorch_says_what_its_libraries_say():
    try:
        wheel = find_wheel("aarch64")
    except OfflineError as error:
        pytest.skip(str(error))
    files = [read_elf(wheel.lib / name) for name in LIBRARIES]
    known, found = REQUIREMENTS["executorch"], merge_needs(files)
    assert {family: found[family] for family in known.symbols} == known.symbols
    assert min(file.align or 0 for file in files) == known.align


@pytest.mark.parametrize("runtime", REQUIREMENTS)
def test_each_runtime_is_described_for_each_of_its_architectures(runtime: str):
    known = REQUIREMENTS[runtime]
    assert known.runtime == runtime
    assert set(known.features) == set(known.machines)
    assert "GLIBC" in known.symbols


@pytest.mark.parametrize("runtime", REQUIREMENTS)
def test_no_runtime_needs_more_than_armv8_0(runtime: str):
    needed = {f.name for f in REQUIREMENTS[runtime].features["aarch64"] if f.kind == "needs"}
    assert needed == {"asimd"}


@pytest.mark.parametrize("runtime", [r for r in REQUIREMENTS if REQUIREMENTS[r].wheel])
def test_a_runtime_in_python_has_pinned_wheels_and_something_else_to_use(runtime: str):
    wheel = REQUIREMENTS[runtime].wheel
    assert wheel is not None
    assert "3.11" in wheel.pythons("aarch64")
    assert REQUIREMENTS[runtime].instead in REQUIREMENTS


@pytest.mark.parametrize("runtime", [r for r in REQUIREMENTS if REQUIREMENTS[r].wheel])
def test_the_table_of_a_wheel_says_what_its_libraries_say(runtime: str):
    known = REQUIREMENTS[runtime]
    try:
        folder = find_package(runtime_wheel(runtime, "3.11", "aarch64"), runtime)
    except OfflineError as error:
        pytest.skip(str(error))
    files = [read_elf(path) for path in package_files(folder).values() if path.suffix == ".so"]
    found = merge_needs(files)
    assert {family: found[family] for family in known.symbols} == known.symbols
    assert ("GLIBCXX" in known.symbols) == ("GLIBCXX" in found)
    assert min(file.align or 0 for file in files) == known.align
