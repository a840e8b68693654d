"""What goes wrong between this computer and a phone is told with the way out."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.types import Device
from slmdeploy.errors import AuthError, ConnectError, HostError, SlmdeployError
from slmdeploy.transport.adb.errors import translate
from slmdeploy.transport.adb.program import find_adb
from slmdeploy.transport.adb.transport import HOME, AdbTransport, serial_of
from slmdeploy.transport.endpoint import Endpoint
from tests.transport.adb.phone import SERIAL, Phone


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    return Phone(tmp_path / "phone", monkeypatch)


@pytest.mark.parametrize(
    ("state", "kind", "said", "way_out"),
    [
        ("unauthorized", AuthError, "has not allowed this computer", "Unlock its screen"),
        ("authorizing", AuthError, "waits for somebody", "Unlock its screen"),
        ("offline", ConnectError, "calls it offline", "adb reconnect offline"),
        ("no permissions", HostError, "may not use its USB port", "udev rules"),
        ("recovery", ConnectError, "not running Android", "adb reboot"),
        ("sideload", ConnectError, "not running Android", "adb reboot"),
    ],
)
def test_each_state_of_a_phone_has_its_way_out(
    phone: Phone, state: str, kind: type[SlmdeployError], said: str, way_out: str
):
    phone.attach(state=state)
    with pytest.raises(kind, match=said) as caught:
        connect(phone.device())
    assert f"phone ({SERIAL})" in caught.value.message
    assert way_out in str(caught.value.hint)


def test_a_phone_that_is_not_attached_is_away(phone: Phone):
    phone.unplug()
    with pytest.raises(ConnectError, match="not attached"):
        connect(phone.device())


def test_of_several_phones_one_must_be_named(phone: Phone):
    phone.attach("emulator-5554")
    with pytest.raises(ConnectError, match="several devices are attached") as caught:
        connect(phone.device(host=None))
    assert "adb devices -l" in str(caught.value.hint)


def test_the_only_phone_needs_no_serial(phone: Phone):
    with closing(connect(phone.device(host=None))) as transport:
        assert transport.check(["echo", "here"]).stdout == "here\n"


def test_a_phone_in_the_network_is_dialled_first(phone: Phone):
    there = {"state": "device", "features": ["shell_v2"]}
    phone.set(features=True, reachable={"10.0.0.7:5555": there})
    device = Device(name="pixel", transport="adb", host="10.0.0.7", port=5555)
    with closing(connect(device)) as transport:
        assert transport.check(["echo", "here"]).stdout == "here\n"
    assert [None, "connect"] not in [call[:2] for call in phone.calls()]
    assert ["10.0.0.7:5555", "connect", "10.0.0.7:5555"] in phone.calls()


def test_a_phone_in_the_network_that_does_not_answer_is_away(phone: Phone):
    with pytest.raises(ConnectError, match="Connection refused"):
        connect(Device(name="pixel", transport="adb", host="10.0.0.8:5555"))


def test_a_server_of_adb_that_does_not_start_is_this_computers_fault(phone: Phone):
    phone.set(server_down=True)
    with pytest.raises(HostError, match="adb server") as caught:
        connect(phone.device())
    assert caught.value.exit_code == 6


def test_without_adb_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    with pytest.raises(HostError, match="neither on PATH nor in ANDROID_HOME") as caught:
        AdbTransport(Endpoint("phone"))
    assert "apt-get install adb" in str(caught.value.hint)


def test_adb_is_found_in_the_sdk(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    tools = phone.folder / "sdk" / "platform-tools"
    tools.mkdir(parents=True)
    (phone.folder / "bin" / "adb").rename(tools / "adb")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("ANDROID_HOME", str(tools.parent))
    assert find_adb() == str(tools / "adb")


@pytest.mark.parametrize("features", [["shell_v2"], []], ids=["protocol", "old"])
def test_a_cable_pulled_in_the_middle_is_a_lost_connection(phone: Phone, features: list[str]):
    phone.attach(features=features)
    with closing(connect(phone.device())) as transport:
        lines = transport.stream(["sh", "-c", "echo one; sleep 300"])
        assert next(lines) == "one"
        phone.unplug()
        with pytest.raises(ConnectError, match="lost while 'sh' ran"):
            next(lines)


def test_a_phone_that_went_away_before_a_command_is_told_as_such(phone: Phone):
    with closing(connect(phone.device())) as transport:
        phone.unplug()
        with pytest.raises(ConnectError, match="not attached"):
            transport.run(["true"])


def test_a_file_for_a_phone_that_went_away_is_a_lost_connection(phone: Phone, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with closing(connect(phone.device())) as transport:
        phone.unplug()
        with pytest.raises(ConnectError):
            transport.put(tmp_path / "file", f"{transport.home()}/file")


def test_home_is_the_one_folder_where_adb_may_write_and_execute(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SLMDEPLOY_HOME_ADB")
    assert AdbTransport(Endpoint("phone")).home() == HOME == "/data/local/tmp/slmdeploy"


def test_a_serial_may_hold_its_port_or_have_it_beside():
    assert serial_of(Endpoint("a", host="h:1")) == serial_of(Endpoint("a", host="h", port=1))
    assert serial_of(Endpoint("a")) is None


def test_words_of_adb_that_nobody_foresaw_are_passed_on():
    error = translate("* daemon started successfully\nadb: the moon is full\n", "phone", "reach")
    assert error.message == "Could not reach phone: adb: adb: the moon is full."
