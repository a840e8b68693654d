from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.device.probes.load import between_loads
from slmdeploy.device.probes.processes import between_processes
from slmdeploy.device.probes.stat import parse_stat, parse_stats
from slmdeploy.device.probes.types import Raw, Text

PID, AGENT, EACH = "/proc/{pid}/stat", "/proc/{agent}/stat", "/proc/[0-9]*/stat"


def stat(pid: int, name: str, ticks: int, *, parent: int = 1, started: int = 100) -> str:
    return f"{pid} ({name}) R {parent} 1 1 0 -1 0 0 0 3 0 {ticks} 0 0 0 20 0 1 0 {started} 0 0\n"


def cpu(busy: int, idle: int) -> str:
    return f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 0 0 0 0\ncpu1 0 0 0 0\nintr 1 2 3\n"


def raw(all_: str, *, runner: str = "", agent: str = "", each: str = "") -> Raw:
    texts = {"/proc/stat": all_, PID: runner, AGENT: agent, EACH: each}
    return {key: Text(text) for key, text in texts.items() if text}


def test_others_load_is_all_load_without_the_runner_and_the_agent():
    before = raw(cpu(0, 0), runner=stat(7, "runner", 0), agent=stat(8, "python3", 0))
    after = raw(cpu(150, 50), runner=stat(7, "runner", 98), agent=stat(8, "python3", 2))
    load, others = between_loads(before, after)  # 100 ticks of two cores
    assert load.value == pytest.approx(1.5)
    assert others.value == pytest.approx(0.5)


def test_a_runner_that_began_in_between_is_not_others():
    before = raw(cpu(0, 0), runner=stat(7, "runner", 900, started=1))
    after = raw(cpu(100, 100), runner=stat(9, "runner", 100, started=500))
    assert between_loads(before, after)[1].value == 0.0


@pytest.mark.parametrize("said", ["", "cpu\n", "cpu 1 2\n", "intr 1\n", "cpu a b c d\n"])
def test_a_kernel_that_does_not_count_gives_no_load(said):
    found = between_loads({"/proc/stat": Text(said)}, {"/proc/stat": Text(said)})
    assert [one.value for one in found] == [None, None]
    assert all(one.reason for one in found)


def test_the_busiest_others_are_named_without_our_own():
    before = raw(
        cpu(0, 0),
        runner=stat(7, "runner", 0),
        agent=stat(8, "python3", 0),
        each=stat(7, "runner", 0) + stat(8, "python3", 0) + stat(9, "stress", 0)
        + stat(10, "stress", 0) + stat(11, "idle", 5) + stat(12, "vcgencmd", 0, parent=8),
    )  # fmt: skip
    after = raw(
        cpu(150, 50),
        runner=stat(7, "runner", 50),
        agent=stat(8, "python3", 2),
        each=stat(7, "runner", 50) + stat(8, "python3", 2) + stat(9, "stress", 60)
        + stat(10, "stress", 30) + stat(11, "idle", 5) + stat(12, "vcgencmd", 9, parent=8),
    )  # fmt: skip
    (found,) = between_processes(before, after)
    assert found.value == "stress 0.90"


def test_a_number_that_was_given_out_anew_is_another_process():
    before = raw(cpu(0, 0), each=stat(9, "old", 5000, started=1))
    after = raw(cpu(0, 200), each=stat(9, "new", 10, started=900))
    assert between_processes(before, after)[0].value == "none"


@given(name=st.text(max_size=15).filter(lambda name: "\n" not in name))
def test_a_process_may_have_any_name(name):
    found = parse_stat(stat(5, name, 12))
    assert found is not None
    assert (found.pid, found.name, found.parent, found.ticks, found.major_faults) == (
        5,
        name,
        1,
        12,
        3,
    )


@given(names=st.lists(st.text(max_size=15).filter(lambda name: "\n" not in name), max_size=5))
def test_rows_of_many_processes_are_told_apart(names):
    text = "".join(stat(pid, name, pid) for pid, name in enumerate(names, 1))
    assert [row.name for row in parse_stats(text).values()] == names


@given(st.text())
def test_no_text_crashes_it(text):
    parse_stat(text)
    parse_stats(text)
