from __future__ import annotations

from slmdeploy.bench.board_notes import CONTENDED_CORES, HOT_START_C, board_notes

from .watched import process, seen, series


def test_a_board_that_is_well_gives_no_remark():
    sample = seen(
        series("temperature_c", [HOT_START_C - 1, 80.0, 80.0]),
        series("throttle_now", [0.0] * 3),
        series("clock_cap_mhz", [2400.0] * 3, of="policy0"),
        series("clock_limit_mhz", [2400.0], of="policy0"),
        series("load_others_cores", [9.0, CONTENDED_CORES, 0.1]),
        series("process_swap_bytes", [0.0] * 3, pid=7),
    )
    assert board_notes([sample]) == ()


def test_an_unwatched_board_gives_no_remark():
    assert board_notes([process()]) == ()


def test_throttling_is_named_with_the_runs_that_it_hit():
    hit = seen(series("throttle_now", [0.0, 1.0, 0.0], of="under-voltage"))
    well = seen(series("throttle_now", [0.0] * 3, of="under-voltage"))
    assert board_notes([hit, well]) == ("throttled in 1 of 2 runs: under-voltage",)


def test_a_cap_below_the_hardware_is_named():
    sample = seen(
        series("clock_cap_mhz", [2400.0, 1500.0, 1500.0], of="policy0"),
        series("clock_limit_mhz", [2400.0], of="policy0"),
    )
    assert board_notes([sample]) == ("capped clock: 1500 of 2400 MHz in 1 of 1 run",)


def test_swap_of_the_process_is_named():
    sample = seen(series("process_swap_bytes", [0.0, 3 << 20, 0.0], pid=7))
    assert board_notes([sample]) == ("swapped: up to 3.0 MiB of the process in 1 of 1 run",)


def test_others_are_named_with_what_they_took():
    sample = seen(
        series("load_others_cores", [0.0, 1.0, 1.2, 1.0, 1.0]),
        series("busiest_others", ["none", "stress 0.98"]),
    )
    assert board_notes([sample]) == (
        "contended: other processes took up to 1.05 cores in 1 of 1 run (stress 0.98)",
    )


def test_a_hot_start_is_named():
    sample = seen(series("temperature_c", [71.5, 75.0, 76.0]))
    assert board_notes([sample]) == ("hot at the start: up to 71.5 C in 1 of 1 run",)


def test_a_warm_up_is_no_matter():
    sample = seen(series("temperature_c", [71.5, 75.0, 76.0]), sample=process(role="warmup"))
    assert board_notes([sample]) == ()


def test_why_the_board_was_not_watched_is_a_remark():
    sample = seen(reason="the agent was cut off")
    assert board_notes([sample, sample]) == (
        "the board's sensors were not read, or not all: the agent was cut off",
    )
