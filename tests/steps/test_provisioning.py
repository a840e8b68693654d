"""Provisioning of boards: real wheels, run by the board's own Python."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy import pipeline
from slmdeploy.device.connect import connect
from slmdeploy.device.provision.runtimes import find_runtime
from slmdeploy.device.types import Device
from slmdeploy.errors import ConnectError, DeviceError, OfflineError, TransferError
from slmdeploy.progress import Step, silent
from slmdeploy.runtime.smoke import INPUT, OUTPUT, PYTHON_TEST, TFLITE
from slmdeploy.runtime.wheel import find_wheel
from slmdeploy.runtime.wheel_packages import find_package, numpy_wheel, runtime_wheel
from slmdeploy.steps.provisioning import Provisioned, provision_device, unprovision_device
from tests.boards.emulated import OwnBoard
from tests.boards.emulated_board import EmulatedBoard
from tests.boards.sshd import SshdBoard

MODULES = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
VERSIONS = {"litert": "2.3.0", "tflite-runtime": "2.14.0", "executorch": "1.5.1"}


def need(runtime: str) -> None:
    """Skip where ``scripts/setup --boards`` did not fetch the runtime (in CI: fail)."""
    try:
        if runtime == "executorch":
            find_wheel("aarch64")
            return
        for wheel in (runtime_wheel, numpy_wheel):
            find_package(wheel(runtime, "3.11", "aarch64"), runtime)
    except OfflineError as error:
        pytest.skip(f"emulated boards need what scripts/setup --boards fetches: {error.message}")


def provision(device: Device, runtime: str, *, dry_run: bool = False) -> Provisioned:
    return provision_device(device, runtime, fetch=False, dry_run=dry_run, progress=silent)


def left(board: EmulatedBoard) -> list[str]:
    """Files on the board below our folder."""
    home = f"{board.user_home}/.slmdeploy"
    return board.root(["sh", "-c", f"[ ! -d {home} ] || find {home} -type f"]).split()


@pytest.mark.board
@pytest.mark.parametrize("runtime", MODULES)
def test_a_python_runtime_comes_works_and_goes(rpi5: EmulatedBoard, runtime: str) -> None:
    need(runtime)
    device, before = rpi5.device("pi"), left(rpi5)

    done = provision(device, runtime)
    ready = done.installed
    assert ready is not None
    assert (ready.version, ready.python_version) == (VERSIONS[runtime], "3.11.2")
    assert not ready.numpy_brought  # Debian 12 has 1.24.2, which both take
    assert 5_000_000 < (done.sent_bytes or 0) < 20_000_000

    again = provision(device, runtime)
    assert (again.sent_bytes, again.installed) == (0, ready)

    with closing(connect(device)) as transport:  # as a runner in the board's Python will do
        found = find_runtime(transport, runtime)
        argv = [str(found.python), "-c", PYTHON_TEST.read_text(), MODULES[runtime]]
        said = transport.check(
            [*argv, *map(str, INPUT)], stdin=TFLITE.read_bytes(), env=found.env
        ).stdout
    assert json.loads(said)["output"] == list(OUTPUT)

    gone = unprovision_device(device, runtime, force=False, dry_run=False)
    assert len(gone.places) == 1
    assert left(rpi5) == before


@pytest.mark.board
def test_the_native_runner_needs_no_python_and_is_about_12_mb(orin_nano: EmulatedBoard) -> None:
    need("executorch")
    device, before = orin_nano.device("orin"), left(orin_nano)
    done = provision(device, "executorch")
    assert done.installed is not None
    assert (done.installed.version, done.installed.python) == ("1.5.1", None)
    assert 11_000_000 < (done.sent_bytes or 0) < 13_000_000
    assert provision(device, "executorch").sent_bytes == 0
    unprovision_device(device, "executorch", force=False, dry_run=False)
    assert left(orin_nano) == before


@pytest.mark.board
@pytest.mark.slow
def test_numpy_is_brought_to_a_board_that_has_none_and_goes_with_the_runtime(
    own_board: OwnBoard,
) -> None:
    need("litert")
    board = own_board("orin-nano")
    board.root(["rm", "-rf", "/usr/lib/python3/dist-packages/numpy"])
    done = provision(board.device("orin"), "litert")
    ready = done.installed
    assert ready is not None
    assert (ready.numpy, ready.numpy_brought, len(ready.python_path)) == ("2.2.6", True, 2)
    gone = unprovision_device(board.device("orin"), "litert", force=False, dry_run=False)
    assert [place.split("/")[1] for place in gone.places] == ["litert", "numpy"]
    assert left(board) == []


@pytest.mark.board
def test_a_board_on_which_the_runtime_does_not_load_is_left_as_it_was(
    own_board: OwnBoard,
) -> None:
    need("litert")
    board = own_board("rpi5")
    library = "/usr/lib/aarch64-linux-gnu/libstdc++.so.6"
    board.root(["mv", library, f"{library}.away"])
    with pytest.raises(DeviceError, match=r"libstdc\+\+\.so\.6: cannot open"):
        provision(board.device("pi"), "litert")
    assert left(board) == []


@pytest.mark.board
def test_a_board_that_cannot_run_it_is_refused_and_gets_nothing(own_board: OwnBoard) -> None:
    board = own_board("rpi5")
    board.root(["rm", "/usr/bin/python3", "/usr/bin/python3.11"])
    with pytest.raises(DeviceError, match="it has no Python") as caught:
        provision(board.device("pi"), "litert")
    assert str(caught.value.hint).endswith("devices provision pi --runtime executorch")
    assert left(board) == []


@pytest.mark.board
def test_what_is_not_here_is_named_before_anything_is_sent(
    rpi5: EmulatedBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path))
    before = left(rpi5)
    with pytest.raises(OfflineError) as caught:
        provision(rpi5.device("pi"), "litert")
    command = "slmdeploy fetch runtime --runtime litert --python 3.11 --arch aarch64"
    assert caught.value.hint == f"Run: {command}"
    dry = provision_device(rpi5.device("pi"), "litert", fetch=True, dry_run=True, progress=silent)
    assert (dry.to_fetch, dry.sent_bytes) == (("ai-edge-litert 2.3.0",), None)
    assert left(rpi5) == before


def test_a_dead_board_does_not_stop_the_others(
    own_sshd: SshdBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = own_sshd.device()
    lab = tmp_path / "lab"
    lab.mkdir()
    monkeypatch.chdir(lab)
    (lab / "devices.toml").write_text(
        f"""
        [devices.dead]
        host = "127.0.0.1"
        port = 1
        board = "rpi5"
        [devices.fine]
        host = "{fine.host}"
        port = {fine.port}
        user = "{fine.user}"
        board = "rpi5"
        identity_file = "{fine.identity_file}"
        host_key = "{fine.host_key}"
        """
    )
    attempts = {a.subject: a for a in pipeline.provision(["board=rpi5"], "executorch")}
    assert isinstance(attempts["dead"].error, DeviceError)
    done = attempts["fine"].value
    assert done is not None
    assert done.installed is not None
    (gone,) = pipeline.unprovision(["fine"], "executorch")
    assert gone.error is None


@pytest.mark.board
@pytest.mark.slow
def test_after_a_power_cut_the_same_command_completes(own_board: OwnBoard) -> None:
    need("executorch")
    board = own_board("rpi5")
    device = board.device("pi")

    def cut_in_the_middle(step: Step) -> None:
        if step.unit == "bytes" and step.done and step.total and step.done > step.total // 2:
            board.cut()

    with pytest.raises(ConnectError):
        provision_device(
            device, "executorch", fetch=False, dry_run=False, progress=cut_in_the_middle
        )
    board.boot()
    assert not [path for path in left(board) if "/runtimes/" in path]
    done = provision(device, "executorch")
    assert done.installed is not None
    assert 0 < (done.sent_bytes or 0) < 12_000_000  # what had arrived is not sent again
    assert [path for path in left(board) if "/incoming/" in path] == []


@pytest.mark.board
@pytest.mark.slow
def test_a_full_disk_is_told_before_the_first_byte(own_board: OwnBoard) -> None:
    need("litert")
    board = own_board("rpi5", home_disk=16 << 20)
    with pytest.raises(TransferError, match="bytes free"):
        provision(board.device("pi"), "litert")
    assert left(board) == []
