"""From the agent's lines to series; the lines are made by hand, with known answers."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.probes.plan import plan_sources, source_keys
from slmdeploy.device.probes.registry import probes
from slmdeploy.device.probes.series import parse_log
from slmdeploy.device.probes.types import Probe, Source

ALL = probes()
ZONE = "/sys/class/thermal/thermal_zone0"
HEAT = probes(["temperature"])
TEMP, TYPE = (source_keys(HEAT).index(f"/sys/class/thermal/thermal_zone*/{name}")
              for name in ("temp", "type"))  # fmt: skip


def log(*lines: dict) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def heat(*lines: dict):
    """The series of a log about one thermal zone."""
    head = (
        {"id": 0, "key": f"{ZONE}/temp", "source": TEMP},
        {"id": 1, "key": f"{ZONE}/type", "source": TYPE},
    )
    return [one for one in parse_log(log(*head, *lines), HEAT).series if one.of == "cpu"]


def test_each_reading_is_a_point_with_its_stamp():
    (series,) = heat(
        {"t": 10, "read": [TEMP, TYPE], "text": {"0": "50000\n", "1": "cpu\n"}},
        {"t": 20, "read": [TEMP], "text": {"0": "51000\n"}},
        {"t": 30, "read": [TEMP]},
    )
    assert (series.t_ns, series.values) == ((10, 20, 30), (50.0, 51.0, 51.0))
    assert (series.quantity, series.sensor) == ("temperature_c", f"{ZONE}/temp")


def test_a_value_has_no_point_where_it_was_not_read():
    (series,) = heat(
        {"t": 10, "read": [TEMP, TYPE], "text": {"0": "50000\n", "1": "cpu\n"}},
        {"t": 20, "read": [TYPE]},
    )
    assert series.t_ns == (10,)


def test_a_reading_that_failed_is_none_with_the_reason():
    (series,) = heat(
        {"t": 10, "read": [TEMP, TYPE], "text": {"0": "50000\n", "1": "cpu\n"}},
        {"t": 20, "read": [TEMP], "miss": {"0": "Resource temporarily unavailable"}},
        {"t": 30, "read": [TEMP], "text": {"0": "52000\n"}},
    )
    assert series.values == (50.0, None, 52.0)
    assert series.reason == "Resource temporarily unavailable"


def test_a_line_that_was_cut_off_is_passed_over():
    text = log(
        {"id": 0, "key": f"{ZONE}/temp", "source": TEMP},
        {"t": 1, "read": [TEMP], "text": {"0": "50000"}},
    )
    seen = parse_log(text + '{"t":2,"read":[0],"te', HEAT)
    assert [one.values for one in seen.series] == [(50.0,)]
    assert seen.end is None


def test_memory_is_of_the_process_that_was_watched_then():
    process = probes(["process"])
    status = source_keys(process).index("/proc/{pid}/status")
    (first, second) = (
        one
        for one in parse_log(
            log(
                {"id": 0, "key": "/proc/{pid}/status", "source": status},
                {"t": 1, "watch": 70},
                {"t": 2, "read": [status], "text": {"0": "VmHWM:\t5 kB\n"}},
                {"t": 3, "gone": 70},
                {"t": 4, "watch": 71},
                {"t": 5, "read": [status], "text": {"0": "VmHWM:\t6 kB\n"}},
            ),
            process,
        ).series
        if one.quantity == "process_peak_rss_bytes"
    )
    assert (first.pid, first.values) == (70, (5 * 1024.0,))
    assert (second.pid, second.values) == (71, (6 * 1024.0,))


def test_a_load_needs_two_readings():
    load = probes(["load"])
    stat = source_keys(load).index("/proc/stat")
    rows = ["cpu  0 0 0 0 0 0 0 0\ncpu0 0\n", "cpu  50 0 0 50 0 0 0 0\ncpu0 0\n"]
    lines = [{"t": t, "read": [stat], "text": {"0": row}} for t, row in enumerate(rows)]
    found = parse_log(log({"id": 0, "key": "/proc/stat", "source": stat}, *lines), load).series
    assert {one.quantity: (one.t_ns, one.values) for one in found} == {
        "load_all_cores": ((1,), (0.5,)),
        "load_others_cores": ((1,), (0.5,)),
    }


def test_what_was_never_read_has_its_reason():
    stat = source_keys(ALL).index("/proc/stat")
    head = {"id": 0, "key": "/proc/stat", "source": stat}
    seen = parse_log(log(head, {"t": 1, "read": [stat], "text": {"0": "cpu 0\n"}}), ALL)
    reasons = {one.quantity: one.reason for one in seen.series}
    assert reasons["temperature_c"] == "no thermal zone on this board"
    assert "process_pss_bytes" not in reasons


def test_an_agent_that_read_nothing_says_nothing_of_the_board():
    assert parse_log("", ALL).series == ()
    assert parse_log(log({"agent": 1, "t": 1, "cpu_ns": 2}), ALL).series == ()


def test_the_agents_cost_is_from_its_first_line_to_its_last():
    seen = parse_log(log({"t": 100, "cpu_ns": 30}, {"t": 1100, "cpu_ns": 35, "end": "told"}), HEAT)
    assert seen.cost is not None
    assert (seen.cost.share, seen.end) == (0.005, "told")
    assert parse_log(log({"t": 100, "cpu_ns": 30}), HEAT).cost is None


def test_a_source_of_two_probes_is_read_once_as_often_as_one_asks():
    slow = Probe("slow", (Source("/proc/stat"), Source(("tool", "-q"), 2.0)))
    fast = Probe("fast", (Source("/proc/stat", 0.5, until="intr "),))
    assert plan_sources([slow, fast]) == [
        {"files": "/proc/stat", "every_s": 0.5, "until": "intr "},
        {"command": ["tool", "-q"], "every_s": 2.0},
    ]


JUNK = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))
LINE = st.dictionaries(
    st.sampled_from(
        ["t", "read", "text", "miss", "id", "key", "source", "watch", "gone", "cpu_ns", "end"]
    ),
    JUNK | st.dictionaries(st.sampled_from(["0", "1", "x"]), JUNK, max_size=2),
)


@given(lines=st.lists(LINE, max_size=8))
def test_no_line_crashes_it(lines):
    parse_log(log(*lines), ALL)


@given(st.text())
def test_no_text_crashes_it(text):
    parse_log(text, ALL)
