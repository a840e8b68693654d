from __future__ import annotations

from slmdeploy.bench.observing import board_watch, span_ns, with_sensors
from slmdeploy.bench.samples import failed_sample
from slmdeploy.device.probes.series import AgentCost, Observed

from .traces import MS
from .watched import BEGIN, HALF_S, process, seen, series


def test_a_process_has_the_readings_of_its_time_and_one_on_either_side():
    sample = seen(
        series("temperature_c", [float(i) for i in range(20)], first=BEGIN - 4 * HALF_S - MS)
    )
    (kept,) = sample.sensors
    begin, end = span_ns(sample)
    assert kept.t_ns[0] <= begin < kept.t_ns[1]
    assert kept.t_ns[-2] <= end < kept.t_ns[-1]
    assert kept.values == tuple(float(i) for i in range(4, 4 + len(kept.values)))
    assert kept.unit == "C"


def test_a_process_shorter_than_the_period_has_its_neighbours():
    sample = seen(series("temperature_c", [50.0, 60.0], first=BEGIN - MS), sample=process(tokens=2))
    assert sample.sensors[0].values == (50.0, 60.0)


def test_memory_goes_to_the_process_that_it_is_of():
    readings = (
        series("process_pss_bytes", [1.0] * 4, pid=7),
        series("process_pss_bytes", [2.0] * 4, pid=8),
    )
    assert [one.values for one in seen(*readings).sensors] == [(1.0,) * 4]


def test_each_of_two_processes_has_its_own_time():
    temperature = series("temperature_c", [float(i) for i in range(40)])
    first, second = with_sensors(
        [process(), process(1, begin=BEGIN + 20 * HALF_S)], Observed((temperature,))
    )
    assert max(first.sensors[0].values) < min(second.sensors[0].values)


def test_a_sensor_that_is_not_there_keeps_its_reason():
    sample = seen(series("power_total_w", [], reason="this board has no power sensor"))
    assert sample.sensors[0].reason == "this board has no power sensor"


def test_a_process_that_said_nothing_has_no_time():
    failed = failed_sample("killed", kind="generate", role="timed", index=0)
    assert seen(series("temperature_c", [1.0]), sample=failed).sensors == ()


def test_why_a_board_was_not_watched_is_kept_with_each_process():
    assert seen(reason="the board has no Python").unwatched == "the board has no Python"


def test_the_agents_cost_is_kept():
    watch = board_watch(Observed(cost=AgentCost(5 * MS, 1000 * MS), end="told"), None)
    assert (watch.agent_cpu_share, watch.agent_wall_s) == (0.005, 1.0)
    assert board_watch(Observed(), "no Python").agent_cpu_share is None
