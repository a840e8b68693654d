from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.provision.runtimes import (
    RECORD,
    InstalledRuntime,
    find_runtime,
    list_runtimes,
    parse_places,
    read_places,
    record_text,
)
from slmdeploy.errors import DeviceError
from slmdeploy.transport.local import LocalTransport

HOME = "/home/pi/.slmdeploy"
LITERT = InstalledRuntime(
    name="litert",
    version="2.3.0",
    folder=f"{HOME}/runtimes/litert/aaa",
    python="/usr/bin/python3",
    python_version="3.11.2",
    python_path=(f"{HOME}/runtimes/litert/aaa", f"{HOME}/runtimes/numpy/bbb"),
    numpy="2.2.6",
    numpy_brought=True,
)
FOLDERS = "folder litert/aaa\nfolder numpy/bbb\nfolder executorch/ccc\n"


def said(*records: str, folders: str = FOLDERS) -> str:
    return folders + "".join(f"record {record.strip()}\n" for record in records)


def test_a_record_says_where_python_finds_a_runtime() -> None:
    (found,) = parse_places(said(record_text(LITERT, HOME)), HOME).ready
    assert found == LITERT
    assert found.env == {"PYTHONPATH": f"{HOME}/runtimes/litert/aaa:{HOME}/runtimes/numpy/bbb"}


def test_a_record_names_no_home_so_that_the_folder_can_be_moved() -> None:
    assert HOME not in record_text(LITERT, HOME)
    (found,) = parse_places(said(record_text(LITERT, HOME)), "/data").ready
    assert found.folder == "/data/runtimes/litert/aaa"


def test_a_native_runtime_needs_no_environment() -> None:
    native = InstalledRuntime("executorch", "1.5.1", f"{HOME}/runtimes/executorch/ccc")
    (found,) = parse_places(said(record_text(native, HOME)), HOME).ready
    assert (found, found.env) == (native, {})


def test_what_is_ready_needs_its_folders_and_the_numpy_that_came_with_it() -> None:
    places = parse_places(said(record_text(LITERT, HOME)), HOME)
    assert places.needed() == {"litert/aaa", "numpy/bbb"}
    assert places.needed(but="litert") == frozenset()


def test_folders_that_nobody_tried_are_listed_but_not_ready() -> None:
    places = parse_places(said(), HOME)
    assert places.folders == ("litert/aaa", "numpy/bbb", "executorch/ccc")
    assert places.ready == ()


@pytest.mark.parametrize("gone", ["folder litert/aaa\n", "folder numpy/bbb\n"])
def test_a_runtime_whose_folder_is_gone_is_not_ready(gone: str) -> None:
    text = said(record_text(LITERT, HOME), folders=FOLDERS.replace(gone, ""))
    assert parse_places(text, HOME).ready == ()


@pytest.mark.parametrize("record", ["", "{}", "[]", "junk", '{"schema": "slmdeploy/runtime/1"}'])
def test_a_damaged_record_is_none(record: str) -> None:
    assert parse_places(said(record), HOME).ready == ()


def test_a_record_of_a_later_kind_is_none() -> None:
    later = {**json.loads(record_text(LITERT, HOME)), "schema": "slmdeploy/runtime/2"}
    assert parse_places(said(json.dumps(later)), HOME).ready == ()


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert parse_places(text, HOME).ready == ()


def test_a_device_says_what_it_has(tmp_path: Path) -> None:
    device = LocalTransport(root=tmp_path / "it's a home")
    home = Path(device.home())
    assert read_places(device).folders == ()
    ready = InstalledRuntime("executorch", "1.5.1", f"{home}/runtimes/executorch/ccc")
    (home / "runtimes/executorch/ccc").mkdir(parents=True)
    (home / "runtimes/executorch/ddd.part-1").mkdir()
    (home / f"runtimes/executorch/{RECORD}").write_text(record_text(ready, str(home)))
    assert read_places(device).folders == ("executorch/ccc",)
    assert list_runtimes(device) == (ready,)
    assert find_runtime(device, "executorch") == ready


def test_a_runtime_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    device = LocalTransport("pi5-a", tmp_path)
    with pytest.raises(DeviceError, match="does not have litert yet") as caught:
        find_runtime(device, "litert")
    assert caught.value.hint == "Run: slmdeploy devices provision pi5-a --runtime litert"
