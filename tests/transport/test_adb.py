"""Phones behind adb, of which a stand-in takes the place."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from slmdeploy.bundle.folder import open_bundle
from slmdeploy.device.types import Device
from slmdeploy.errors import (
    AuthError,
    CommandError,
    ConnectError,
    DeviceError,
    HostError,
    TransferError,
)
from slmdeploy.progress import silent
from slmdeploy.steps.ready import push_to, ready
from slmdeploy.transport.adb import ADB_VARIABLE, HOME, AdbTransport
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.open import open_transport
from tests.device.bundles import make_bundle
from tests.transport.stand_in_adb import SERIAL

STAND_IN = Path(__file__).with_name("stand_in_adb.py")


@pytest.fixture
def phone(tmp_path, monkeypatch) -> AdbTransport:
    program = tmp_path / "adb"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv(ADB_VARIABLE, str(program))
    return AdbTransport("pixel", SERIAL, str(tmp_path / "phone" / "slmdeploy"))


def test_it_comes_in_by_the_door_of_all_transports(phone):
    opened = open_transport("adb", Endpoint("pixel", host=SERIAL))
    assert (opened.name, opened.home()) == ("pixel", HOME)
    assert opened.run(["true"]).code == 0


def test_arguments_arrive_as_they_are(phone):
    odd = ["", " ", "a b", "'", '"', "$HOME", "`id`", "*", "~", "\\", "\n", "!x", "é", "-n", "a=b"]
    assert phone.run(["printf", "%s\\0", *odd]).stdout.split("\0")[:-1] == odd


def test_code_and_both_outputs_come_back(phone):
    result = phone.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")


def test_stdin_and_variables_arrive(phone):
    result = phone.run(["sh", "-c", 'wc -c; echo "$A"'], stdin=b"x" * 100_000, env={"A": "b c"})
    assert result.stdout.split("\n")[:2] == ["100000", "b c"]


def test_lines_come_as_they_are_written(phone):
    lines = phone.stream(["sh", "-c", "echo one; read x; echo two"], stdin=b"\n")
    assert list(lines) == ["one", "two"]


def test_a_command_that_fails_is_not_taken_for_a_lost_phone(phone):
    with pytest.raises(CommandError, match="code 1"):
        phone.check(["sh", "-c", "echo 'error: in the script' >&2; exit 1"])


def test_a_file_goes_there_and_comes_back(phone, tmp_path):
    source = tmp_path / "content"
    source.write_bytes(os.urandom(70_000))
    place, told = f"{phone.home()}/new folder/model.tflite", []
    phone.put(source, place, mode=0o755, progress=lambda done, all_: told.append((done, all_)))
    phone.get(place, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert stat.S_IMODE(Path(place).stat().st_mode) == 0o755
    assert told[-1] == (70_000, 70_000)
    assert [entry.name for entry in Path(place).parent.iterdir()] == ["model.tflite"]


def test_what_is_not_there_is_told(phone, tmp_path):
    with pytest.raises(TransferError, match="No such file"):
        phone.get(f"{phone.home()}/none", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("away", ConnectError, f"'{SERIAL}' not found"),
        ("offline", ConnectError, "offline"),
        ("unauthorized", AuthError, "does not trust this computer"),
    ],
)
def test_how_the_phone_is_decides_what_is_said(phone, monkeypatch, state, error, words):
    monkeypatch.setenv("STAND_IN_ADB", state)
    with pytest.raises(error, match=words) as caught:
        phone.run(["true"])
    assert caught.value.hint


def test_a_computer_without_adb_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv(ADB_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(HostError, match="no adb") as caught:
        AdbTransport("pixel", None)
    assert "platform tools" in str(caught.value.hint)


def test_a_bundle_is_pushed_without_a_runner_and_only_once(phone, tmp_path, monkeypatch):
    monkeypatch.setattr("slmdeploy.transport.adb.HOME", phone.home())
    monkeypatch.setattr("slmdeploy.steps.ready.connect", lambda _: phone)
    make_bundle(tmp_path / "b")
    bundle, device = open_bundle(tmp_path / "b"), Device("pixel", transport="adb", host=SERIAL)
    done = push_to(bundle, device, dry_run=False, progress=silent)
    assert done.sent_bytes > 0
    assert Path(done.bundle_dir, "model.pte").is_file()
    assert not Path(phone.home(), "runtimes").exists()
    assert push_to(bundle, device, dry_run=False, progress=silent).sent_bytes == 0


def test_nothing_is_measured_on_a_phone_and_the_way_out_is_named(phone, tmp_path):
    make_bundle(tmp_path / "b")
    device = Device("pixel", transport="adb", host=SERIAL)
    with (
        pytest.raises(DeviceError, match="no runner for Android") as caught,
        ready(open_bundle(tmp_path / "b"), device, silent),
    ):
        pass
    assert "slmdeploy runs import" in str(caught.value.hint)
