from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmdeploy.device.connect import connect
from slmdeploy.device.probes.definitions import DEFINITIONS
from slmdeploy.device.probes.reading import parse_reading, read_probes, source_rows, values_of
from slmdeploy.device.probes.registry import probes
from slmdeploy.device.probes.script import READ
from slmdeploy.device.probes.types import Text
from slmdeploy.errors import CommandError, UnknownNameError
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport

from .recorded import BOARDS, FOLDER, is_whole, reading, texts

ALL = probes()
ROWS = source_rows(ALL)
RECORDED = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.txt"))


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: probe.name)
def test_a_probe_is_installed_under_its_own_name(probe):
    assert probes([probe.name]) == (probe,)


@pytest.mark.parametrize("file", RECORDED)
def test_every_value_of_every_board_has_a_unit_and_a_sensor_or_a_reason(file):
    board, state = file.removesuffix(".txt").split("/")
    found = [one for probe in ALL for one in values_of(probe, reading(board, state))]
    assert len(found) > 20
    assert [one for one in found if not is_whole(one)] == []
    assert {one.quantity for one in found} <= DEFINITIONS.keys()
    assert all(one.sensor for one in found)
    assert len({one.name for one in found}) == len(found)


@pytest.mark.parametrize("board", BOARDS)
def test_what_a_board_can_be_asked_for_is_found_there(board):
    found = {one.quantity for probe in ALL for one in values_of(probe, reading(board))
             if one.value is not None}  # fmt: skip
    assert {"temperature_c", "clock_mhz", "clock_cap_mhz", "governor", "load_others_cores",
            "memory_available_bytes", "process_pss_bytes"} <= found  # fmt: skip


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: probe.name)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_no_junk_crashes_a_parser(probe, data):
    before, after = data.draw(texts(probe)), data.draw(texts(probe))
    found = values_of(probe, [before, after])
    assert [one for one in found if not is_whole(one)] == []


@given(st.text())
def test_no_output_crashes_the_reader(text):
    parse_reading(text)


def test_a_text_with_lines_of_the_readers_own_words_stays_a_text():
    said = "round 1\nkey /a\n|key /b\n|miss x\n|end\n|\nend\nmiss y\n"
    assert parse_reading(said)[0]["/a"] == Text(None, "y")
    assert parse_reading(said.removesuffix("miss y\n"))[0]["/a"] == Text("key /b\nmiss x\nend\n\n")


def test_this_computer_is_read_by_plain_shell():
    found = {one.quantity: one for one in read_probes(LocalTransport(), pid=1)}
    assert isinstance(found["memory_total_bytes"].value, float)
    assert isinstance(found["process_peak_rss_bytes"].value, float)
    assert found["power_mode"].reason == "nvpmodel is not on this board"


@pytest.mark.parametrize("shell", [["busybox", "sh"], ["bash"], ["dash"]], ids=" ".join)
def test_any_shell_reads_the_same_things(shell):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here")
    found = []
    for argv in (shell, ["sh"]):
        command = [*argv, "-c", READ, "sh", "1"]
        said = subprocess.run(command, input=ROWS, capture_output=True, text=True, check=True)
        assert said.stderr == ""
        found.append([sorted(raw) for raw in parse_reading(said.stdout)])
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_only_what_is_asked_for_is_read():
    found = read_probes(LocalTransport(), ["memory"])
    assert {one.sensor for one in found} == {"/proc/meminfo", "/proc/swaps", "/proc/vmstat"}


def test_without_a_process_its_probe_says_nothing():
    assert read_probes(LocalTransport(), ["process"]) == ()


def test_an_unknown_probe_lists_those_that_exist():
    with pytest.raises(UnknownNameError, match="temperature"):
        read_probes(LocalTransport(), ["heat"])


def test_a_shell_that_cannot_run_it_is_an_error(tmp_path: Path):
    device = FakeTransport(tmp_path, handler=lambda _: Result(2, "", "sh: syntax error\n"))
    with pytest.raises(CommandError, match="syntax error"):
        read_probes(device, ["memory"])


def test_a_reading_over_a_real_ssh_connection(sshd_board):
    with closing(connect(sshd_board)) as transport:
        found = {one.quantity: one for one in read_probes(transport)}
    assert isinstance(found["load_others_cores"].value, float)


@pytest.mark.board
@pytest.mark.parametrize(
    ("kind", "total"),
    [
        ("rpi4", None),
        ("rpi5", "power_pmic_w"),
        ("orin_nano", "power_total_w"),
        ("agx_orin", "power_rails_w"),
    ],
)
def test_an_emulated_board_says_what_was_recorded_of_it(kind, total, request):
    board = request.getfixturevalue(kind)
    chosen = ["temperature", "clocks", "governor", "power", "throttle", "mode", "fan"]
    with closing(connect(board.device("board"))) as transport:
        found = read_probes(transport, chosen)
    recorded = reading(kind.replace("_", "-"))
    assert found == tuple(one for probe in probes(chosen) for one in values_of(probe, recorded))
    known = {one.quantity for one in found if one.value is not None}
    assert known & {"power_pmic_w", "power_total_w", "power_rails_w"} == (
        {total} if total else set()
    )
