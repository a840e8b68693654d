from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmdeploy.device.probes.definitions import DEFINITIONS
from slmdeploy.device.probes.reading import parse_reading, read_probes, values_of
from slmdeploy.device.probes.registry import probes
from slmdeploy.device.probes.types import Text
from slmdeploy.errors import CommandError, UnknownNameError
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import FakeTransport
from slmdeploy.transport.local import LocalTransport

from .recorded import BOARDS, FOLDER, is_whole, reading, texts

ALL = probes()
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
    from contextlib import closing

    from slmdeploy.device.connect import connect

    with closing(connect(sshd_board)) as transport:
        found = {one.quantity: one for one in read_probes(transport)}
    assert isinstance(found["load_others_cores"].value, float)
