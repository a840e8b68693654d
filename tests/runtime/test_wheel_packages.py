from __future__ import annotations

import re
from pathlib import Path

import pytest

from slmdeploy.errors import DiskSpaceError, OfflineError, UnknownNameError
from slmdeploy.runtime import wheel_packages
from slmdeploy.runtime.elf import read_elf
from slmdeploy.runtime.requirements import REQUIREMENTS
from slmdeploy.runtime.wheel_packages import (
    fetch_package,
    find_package,
    numpy_wheel,
    package_files,
    runtime_wheel,
)
from slmdeploy.runtime.wheel_pins import PinnedWheel
from tests.runtime.pips import give, names, sha256_of, wheel_of

LITERT = {
    "ai_edge_litert/__init__.py": "",
    "ai_edge_litert/interpreter.py": "",
    "ai_edge_litert/metrics_portable.py": "",
    "ai_edge_litert/_pywrap_litert_interpreter_wrapper.so": "elf",
    "ai_edge_litert/libpywrap_litert_common.so": "elf",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so": "big",
    "ai_edge_litert/schema_py_generated.py": "big",
    "ai_edge_litert/aot/core/common.py": "not on boards",
    "ai_edge_litert-2.3.0.dist-info/METADATA": "Name: ai-edge-litert",
    "ai_edge_litert-2.3.0.dist-info/licenses/LICENSE": "Apache",
    "ai_edge_litert-2.3.0.dist-info/RECORD": "",
}
NUMPY = {
    "numpy/__init__.py": "",
    "numpy/_core/_multiarray_umath.cpython-311-aarch64-linux-gnu.so": "elf",
    "numpy/_core/numeric.py": "",
    "numpy/_core/tests/test_numeric.py": "",
    "numpy/_core/include/numpy/arrayobject.h": "",
    "numpy/tests/test_all.py": "",
    "numpy/f2py/__init__.py": "",
    "numpy/__init__.pyi": "",
    "numpy.libs/libscipy_openblas64_-1.so": "elf",
    "numpy-2.2.6.dist-info/LICENSE.txt": "BSD",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runtimes"


def pinned(project: str, data: bytes) -> PinnedWheel:
    return PinnedWheel(project, "1.0", "3.11", "manylinux_2_27_aarch64", sha256_of(data))


def test_a_runtime_has_a_wheel_for_each_python_and_architecture() -> None:
    wheel = runtime_wheel("litert", "3.12", "x86_64")
    assert (wheel.project, wheel.python, wheel.arch) == ("ai-edge-litert", "3.12", "x86_64")


def test_a_python_without_a_wheel_is_told_which_have_one() -> None:
    with pytest.raises(UnknownNameError, match=r"3\.13") as caught:
        runtime_wheel("tflite-runtime", "3.13", "aarch64")
    assert "is made for Python 3.8, 3.9, 3.10, 3.11 on aarch64" in str(caught.value)


@pytest.mark.parametrize(("runtime", "arch"), [("onnx", "aarch64"), ("litert", "riscv64")])
def test_unknown_names_are_refused(runtime: str, arch: str) -> None:
    with pytest.raises(UnknownNameError):
        runtime_wheel(runtime, "3.11", arch)


def test_old_numpy_goes_with_the_old_runtime() -> None:
    assert numpy_wheel("tflite-runtime", "3.11", "aarch64").version == "1.26.4"
    assert numpy_wheel("tflite-runtime", "3.8", "aarch64").version == "1.24.4"
    assert numpy_wheel("litert", "3.11", "aarch64").version == "2.2.6"


def test_only_what_an_interpreter_needs_is_taken(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    data = wheel_of(LITERT)
    commands = give(monkeypatch, {"ai-edge-litert": data})
    wheel = pinned("ai-edge-litert", data)
    folder = fetch_package(wheel, "litert")
    assert folder == find_package(wheel, "litert")
    left_out = {"libLiteRtWebGpuAccelerator", "schema_py_generated", "aot", "RECORD"}
    assert set(package_files(folder)) == {
        name for name in LITERT if not any(part in name for part in left_out)
    }
    assert {"--python-version", "3.11", "cp311", "manylinux_2_27_aarch64"} <= set(commands[0])
    assert names(cache) == [wheel.folder]


def test_numpy_goes_without_tests_headers_and_stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel_of(NUMPY)
    give(monkeypatch, {"numpy": data})
    taken = package_files(fetch_package(pinned("numpy", data), "litert"))
    assert not [name for name in taken if re.search(r"tests|include|f2py|\.pyi", name)]
    assert {"numpy/_core/numeric.py", "numpy.libs/libscipy_openblas64_-1.so"} <= set(taken)
    assert "numpy-2.2.6.dist-info/LICENSE.txt" in taken


def test_what_is_there_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel_of(LITERT)
    give(monkeypatch, {"ai-edge-litert": data})
    fetch_package(pinned("ai-edge-litert", data), "litert")
    commands = give(monkeypatch, {})
    fetch_package(pinned("ai-edge-litert", data), "litert")
    assert commands == []


def test_what_is_not_there_names_the_command() -> None:
    with pytest.raises(OfflineError) as caught:
        find_package(runtime_wheel("litert", "3.11", "aarch64"), "litert")
    command = "slmdeploy fetch runtime --runtime litert --python 3.11 --arch aarch64"
    assert caught.value.hint == f"Run: {command}"


def test_numpy_is_fetched_by_the_command_of_its_runtime() -> None:
    with pytest.raises(OfflineError, match=r"numpy 1\.26\.4") as caught:
        find_package(numpy_wheel("tflite-runtime", "3.11", "aarch64"), "tflite-runtime")
    assert "--runtime tflite-runtime" in str(caught.value.hint)


def test_a_wheel_with_another_hash_is_not_used(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    give(monkeypatch, {"ai-edge-litert": wheel_of(LITERT)})
    with pytest.raises(OfflineError, match="sha256"):
        fetch_package(runtime_wheel("litert", "3.11", "aarch64"), "litert")
    assert names(cache) == []


@pytest.mark.parametrize("data", [b"junk", wheel_of({"ai_edge_litert/__init__.py": ""})])
def test_a_wheel_without_libraries_is_refused(
    monkeypatch: pytest.MonkeyPatch, cache: Path, data: bytes
) -> None:
    give(monkeypatch, {"ai-edge-litert": data})
    with pytest.raises(OfflineError):
        fetch_package(pinned("ai-edge-litert", data), "litert")
    assert names(cache) == []


def test_a_full_disk_is_told_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = give(monkeypatch, {})
    monkeypatch.setattr(wheel_packages, "_WANTED_BYTES", 1 << 60)
    with pytest.raises(DiskSpaceError):
        fetch_package(runtime_wheel("litert", "3.11", "aarch64"), "litert")
    assert commands == []


@pytest.mark.board
@pytest.mark.parametrize("runtime", ["litert", "tflite-runtime"])
def test_the_libraries_need_what_the_doctor_asks_of_boards(
    monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.delenv("SLMDEPLOY_CACHE_DIR")
    try:
        folder = find_package(runtime_wheel(runtime, "3.11", "aarch64"), runtime)
    except OfflineError as error:
        pytest.skip(f"emulated boards need what scripts/setup --boards fetches: {error.message}")
    needs: dict[str, tuple[int, ...]] = {}
    for library in folder.rglob("*.so"):
        for family, version in read_elf(library).versions.items():
            needs[family] = max(version, needs.get(family, ()))
    asked = REQUIREMENTS[runtime].symbols
    assert needs["GLIBC"] == asked["GLIBC"]
    assert {family: needs[family] for family in asked} == dict(asked)
