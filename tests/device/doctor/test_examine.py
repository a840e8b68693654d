"""The doctor on boards: healthy ones, and what is provoked on them."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.doctor.asked import Asked, asked_of
from slmdeploy.device.doctor.examine import Diagnosis, examine
from slmdeploy.device.doctor.host_checks import Check
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.device.runs.lease import leased
from slmdeploy.device.types import Device
from slmdeploy.runtime.requirements import REQUIREMENTS
from tests.boards.emulated import OwnBoard
from tests.boards.emulated_board import EmulatedBoard
from tests.boards.sshd import SshdBoard

EXECUTORCH = Asked("the runtime executorch", REQUIREMENTS["executorch"])
NEAR_FULL = 24 << 20
JETSON_ONLY = {"jetpack", "power mode"}


def by_name(diagnosis: Diagnosis) -> dict[str, Check]:
    return {check.name: check for check in diagnosis.checks}


def status_of(board: EmulatedBoard | Device, name: str, asked: Asked = EXECUTORCH) -> str:
    device = board if isinstance(board, Device) else board.device("pi")
    return by_name(examine(device, asked))[name].status


@contextlib.contextmanager
def changed(board: EmulatedBoard, **values: Any) -> Iterator[None]:
    """Other values of its sensors, and the old ones again at the end."""
    before = {name: board.sensors.values[name] for name in values}
    board.set(**values)
    try:
        yield
    finally:
        board.set(**before)


def test_this_computer_is_a_device_too(tmp_path, monkeypatch):
    monkeypatch.setenv("SLMDEPLOY_HOME_LOCAL", str(tmp_path / "ours"))
    found = by_name(examine(LOCAL, asked_of("local-executorch", None)))
    assert {name: found[name].status for name in ("reachable", "architecture", "disk")} == {
        "reachable": "ok",
        "architecture": "ok",
        "disk": "ok",
    }
    assert not (tmp_path / "ours").exists()


def test_a_board_of_this_architecture(sshd_board: Device):
    found = by_name(examine(sshd_board, EXECUTORCH))
    names = ("reachable", "host key", "login", "clock", "tools", "file transfer", "home folder")
    assert {found[name].status for name in names} == {"ok"}


def test_a_port_that_nobody_listens_at_is_refused(own_sshd: SshdBoard):
    device = own_sshd.device()
    own_sshd.kill()
    diagnosis = examine(device, EXECUTORCH)
    found = by_name(diagnosis)
    assert not diagnosis.ok
    assert found["reachable"].status == "fail"
    assert str(found["reachable"].value).startswith("refused: ")
    assert {check.status for check in diagnosis.checks[1:]} == {"unknown"}


def test_a_server_that_says_nothing_is_hanging(monkeypatch):
    monkeypatch.setattr("slmdeploy.transport.ssh.session.USUAL_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        device = Device(name="x", host="127.0.0.1", port=server.getsockname()[1])
        found = by_name(examine(device, EXECUTORCH))
    assert str(found["reachable"].value).startswith("hanging: ")


def test_a_host_name_that_is_not_known_is_away():
    found = by_name(examine(Device(name="x", host="no-such-board.invalid"), EXECUTORCH))
    assert str(found["reachable"].value).startswith("away: ")


def test_another_host_key_than_the_pinned_one(sshd_board: Device):
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtEXoL8v0+9cDJu7kNk2S2SHWDXGfU3NOEXnDgAU8Bv"
    found = by_name(examine(dataclasses.replace(sshd_board, host_key=other), EXECUTORCH))
    assert (found["reachable"].status, found["host key"].status) == ("ok", "fail")
    assert "slmdeploy devices trust board-a --replace" in str(found["host key"].fix)


def test_a_user_that_is_not_let_in(sshd_board: Device, tmp_path: Path):
    from tests.boards.sshd import make_key

    make_key(tmp_path / "other")
    device = dataclasses.replace(sshd_board, identity_file=tmp_path / "other")
    found = by_name(examine(device, EXECUTORCH))
    assert (found["host key"].status, found["login"].status) == ("ok", "fail")


def test_the_report_has_the_same_checks_whether_or_not_the_board_was_reached(sshd_board: Device):
    away = examine(Device(name="x", host="no-such-board.invalid"), EXECUTORCH)
    there = examine(sshd_board, EXECUTORCH)
    assert [check.name for check in away.checks] == [check.name for check in there.checks]


def test_somebody_elses_lease_is_told(sshd_board: Device):
    with closing(connect(sshd_board)) as transport, leased(transport, owner="eve@lab"):
        found = by_name(examine(sshd_board, EXECUTORCH))["lease"]
    assert found.status == "warn"
    assert "eve@lab" in str(found.value)
    assert status_of(sshd_board, "lease") == "ok"


def test_settings_that_are_left_changed_are_told(own_sshd: SshdBoard):
    saved = own_sshd.home / ".slmdeploy" / "settings" / "saved"
    saved.parent.mkdir(parents=True)
    saved.write_text("t0ken eve@lab (process 7)\nmode\t-\t1\n")
    found = by_name(examine(own_sshd.device("board-a"), EXECUTORCH))["settings"]
    assert found.status == "warn"
    assert found.value == "left changed by eve@lab (process 7): power mode (was 1)"
    assert found.fix == "slmdeploy devices restore board-a"
    saved.unlink()
    assert status_of(own_sshd.device("board-a"), "settings") == "ok"


def test_the_doctor_leaves_nothing_on_the_board(own_sshd: SshdBoard):
    examine(own_sshd.device(), EXECUTORCH)
    assert [path.name for path in own_sshd.home.iterdir()] == []


@pytest.mark.board
def test_a_healthy_raspberry_pi_5(rpi5: EmulatedBoard):
    diagnosis = examine(rpi5.device("pi"), asked_of("rpi5-executorch", None))
    found = by_name(diagnosis)
    assert {name: c.value for name, c in found.items() if c.status in {"fail", "unknown"}} == {}
    # It comes with this governor, and other programs of this computer are busy.
    assert {n for n, c in found.items() if c.status == "warn"} <= {"governor", "other processes"}
    assert diagnosis.ok
    assert found["processor"].value == "4 x Cortex-A76"
    assert found["cpu features"].value == "asimd, asimddp, asimdhp, no i8mm"
    assert found["board"].value == "Raspberry Pi 5 Model B Rev 1.0 (rpi5)"
    assert not JETSON_ONLY & set(found)


@pytest.mark.board
def test_a_healthy_raspberry_pi_4_has_no_dot_products(rpi4: EmulatedBoard):
    found = by_name(examine(rpi4.device("pi"), asked_of("rpi4-executorch", None)))
    assert {name: c.value for name, c in found.items() if c.status in {"fail", "unknown"}} == {}
    assert found["cpu features"].status == "warn"
    assert "no asimddp" in str(found["cpu features"].value)


@pytest.mark.board
def test_a_healthy_jetson_orin_nano(orin_nano: EmulatedBoard):
    asked = asked_of("jetson-orin-nano-executorch", None)
    found = by_name(examine(orin_nano.device("pi"), asked))
    assert {name: c.value for name, c in found.items() if c.status == "fail"} == {}
    assert found["jetpack"].value == "L4T R36.4.3 (JetPack 6)"
    assert str(found["power mode"].value).startswith("25W")
    assert found["processor"].value == "6 x Cortex-A78AE"


@pytest.mark.board
def test_a_healthy_jetson_agx_orin(agx_orin: EmulatedBoard):
    found = by_name(examine(agx_orin.device("pi"), EXECUTORCH))
    assert {name: c.value for name, c in found.items() if c.status == "fail"} == {}
    assert str(found["power mode"].value).startswith("MODE_30W")


@pytest.mark.board
@pytest.mark.parametrize(
    ("values", "name", "status"),
    [
        ({"temperature": 65.0}, "temperature", "warn"),
        ({"temperature": 83.0}, "temperature", "fail"),
        ({"throttled": 0x40000}, "throttling", "warn"),
        ({"throttled": 0x40004}, "throttling", "fail"),
        ({"throttled": 0x10000}, "power supply", "warn"),
        ({"throttled": 0x10001}, "power supply", "fail"),
        ({"under_voltage": True}, "power supply", "fail"),
        ({"governor": "performance"}, "governor", "ok"),
        ({"governor": "powersave"}, "governor", "warn"),
        ({"max_khz": 1_500_000}, "clock limit", "warn"),
        ({"swap_used": 150 << 20}, "swap", "warn"),
        ({"memory_total": 2 << 30}, "memory", "warn"),
    ],
)
def test_a_raspberry_pi_that_is_not_well(
    rpi5: EmulatedBoard, values: dict[str, Any], name: str, status: str
):
    with changed(rpi5, **values):
        assert status_of(rpi5, name, asked_of("rpi5-executorch", None)) == status


@pytest.mark.board
def test_too_little_memory_for_the_predicted_peak(rpi5: EmulatedBoard):
    asked = dataclasses.replace(EXECUTORCH, peak_bytes=1 << 30)
    with changed(rpi5, memory_available=900 << 20):
        assert status_of(rpi5, "free memory", asked) == "fail"
    assert status_of(rpi5, "free memory", asked) == "ok"


@pytest.mark.board
def test_a_target_of_another_board(rpi5: EmulatedBoard):
    check = by_name(examine(rpi5.device("pi"), asked_of("rpi4-executorch", None)))["board"]
    assert check.status == "warn"
    assert "made for rpi4" in str(check.value)


@pytest.mark.board
@pytest.mark.parametrize(
    ("l4t", "runtime", "status"),
    [
        ("R35 (release), REVISION: 5.0", "executorch", "ok"),
        ("R35 (release), REVISION: 5.0", "litert", "fail"),
        ("R32 (release), REVISION: 7.1", "executorch", "fail"),
    ],
)
def test_an_older_jetpack(own_board: OwnBoard, l4t: str, runtime: str, status: str):
    board = own_board("orin-nano", l4t=l4t)
    assert status_of(board, "jetpack", Asked("it", REQUIREMENTS[runtime])) == status


@pytest.mark.board
def test_a_disk_without_room_for_the_runtime(own_board: OwnBoard):
    board = own_board("rpi5", home_disk=NEAR_FULL)
    board.root(["sh", "-c", f"head -c 14000000 /dev/zero > {board.user_home}/old; sync"])
    check = by_name(examine(board.device("pi"), EXECUTORCH))["disk"]
    assert (check.status, check.fix) == ("fail", "slmdeploy devices gc pi")


@pytest.mark.board
def test_a_board_that_is_in_a_bad_way(own_board: OwnBoard):
    board = own_board("rpi5", sudo=False)
    board.root(["sh", "-c", "{ while :; do :; done; } >/dev/null 2>&1 &"])
    board.make_home_read_only()
    board.set_clock(-365 * 86400)
    found = by_name(examine(board.device("pi"), EXECUTORCH))
    assert found["clock"].status == "warn"
    assert str(found["clock"].value).startswith("365 days behind")
    assert found["home folder"].status == "fail"
    assert "no --set-governor" in str(found["sudo"].value)
    assert found["other processes"].status == "warn"
    assert "sh" in str(found["other processes"].value)
