from __future__ import annotations

import pytest

from slmdeploy.bench import derive_sensors as derive

from .traces import MS
from .watched import BEGIN, HALF_S, process, seen, series


def test_temperatures_are_those_of_the_hottest_sensor():
    sample = seen(
        series("temperature_c", [50.0, 55.0, 70.0, 66.0, 64.0, 60.0], of="cpu"),
        series("temperature_c", [52.0, 52.0, 53.0, 53.0, 53.0, None], of="gpu"),
    )
    assert derive.temperature_start_c(sample) == 52.0
    assert derive.temperature_peak_c(sample) == 70.0
    assert derive.temperature_end_c(sample) == 60.0


def test_clocks_are_those_of_the_policy_that_runs_fastest():
    sample = seen(
        series("clock_mhz", [600.0, 2400.0, 1800.0, 2400.0, 2400.0, 600.0], of="policy0"),
        series("clock_mhz", [600.0, 729.0, 729.0, 729.0, 2000.0, 600.0], of="policy4"),
    )
    assert derive.clock_min_mhz(sample) == 1800.0
    assert derive.clock_median_mhz(sample) == 2400.0


def test_idle_clocks_around_a_process_do_not_count():
    sample = seen(series("clock_mhz", [600.0, 600.0]), sample=process(tokens=2))
    assert derive.clock_min_mhz(sample) is None


def test_what_the_firmware_measures_counts_before_what_the_kernel_has_set():
    sample = seen(
        series("clock_mhz", [2400.0] * 6, of="policy0"),
        series("clock_measured_mhz", [2400.0, 1500.0, 1500.0, 1500.0], of="arm", every=HALF_S),
    )
    assert derive.clock_min_mhz(sample) == 1500.0
    assert derive.clock_quantity(sample) == "clock_measured_mhz"


def test_the_cap_is_that_of_the_fastest_hardware():
    sample = seen(
        series("clock_cap_mhz", [2400.0, 1800.0, 2400.0], of="policy4"),
        series("clock_limit_mhz", [2400.0], of="policy4"),
        series("clock_cap_mhz", [1000.0] * 3, of="policy0"),
        series("clock_limit_mhz", [1500.0], of="policy0"),
    )
    assert derive.clock_cap_mhz(sample) == 1800.0
    assert derive.clock_limit_mhz(sample) == 2400.0


def test_a_flag_holds_until_it_is_read_again():
    sample = seen(
        series("throttle_now", [0.0] * 6, of="supply"),
        series("throttle_now", [0.0, 1.0, 0.0], of="throttled", every=2 * HALF_S),
    )
    assert derive.throttled_percent(sample) == pytest.approx(100 * 2 / 6)


def test_throttling_is_seen_now_by_a_new_sticky_bit_and_by_a_counter():
    now = seen(series("throttle_now", [0.0, 1.0, 0.0], of="throttled"))
    sticky = seen(series("throttle_since_boot", [0.0, 0.0, 1.0], of="under-voltage"))
    counted = seen(series("throttle_events", [3.0, 3.0, 4.0], of="oc3 over-current"))
    assert derive.throttles(now) == ("throttled",)
    assert derive.throttles(sticky) == ("under-voltage",)
    assert derive.throttles(counted) == ("oc3 over-current",)


def test_what_had_happened_before_is_no_throttling():
    sample = seen(
        series("throttle_since_boot", [1.0] * 3, of="under-voltage"),
        series("throttle_events", [37.0] * 3, of="oc3"),
    )
    assert derive.throttles(sample) == ()


def test_power_is_the_mean_while_the_process_ran():
    sample = seen(series("power_total_w", [2.0, 5.0, 7.0, 6.0, 6.0, 2.0], of="VDD_IN"))
    assert derive.power_mean_w(sample) == pytest.approx(6.0)


def test_a_measured_total_counts_before_an_estimate():
    sample = seen(
        series("power_pmic_w", [9.0] * 6, of="sum of rails"),
        series("power_total_w", [5.0] * 6, of="VDD_IN"),
    )
    assert derive.power_mean_w(sample) == 5.0


def test_energy_is_that_of_decode_by_its_tokens():
    # 21 tokens, the first after 83 ms, one each 100 ms: four readings lie in decode.
    sample = seen(series("power_total_w", [1.0, 6.0, 6.0, 6.0, 6.0, 1.0]))
    assert derive.energy_per_token_j(sample) == pytest.approx(6.0 * 0.1)


def test_without_power_during_decode_there_is_no_energy():
    short = seen(series("power_total_w", [5.0, 5.0, 5.0]), sample=process(tokens=3))
    assert derive.energy_per_token_j(short) is None
    assert derive.energy_per_token_j(seen()) is None


def test_one_reading_is_no_mean():
    sample = seen(series("power_total_w", [5.0], first=BEGIN + HALF_S))
    assert derive.power_mean_w(sample) is None


def test_others_load_and_memory():
    sample = seen(
        series("load_others_cores", [4.0, 0.0, 0.2, 0.4, 0.2, 4.0]),
        series("process_pss_bytes", [100.0, 300.0, 200.0], pid=7),
        series("process_swap_bytes", [0.0, 64.0, 0.0], pid=7),
    )
    assert derive.load_others_cores(sample) == pytest.approx(0.2)
    assert derive.peak_pss_bytes(sample) == 300.0
    assert derive.peak_swap_bytes(sample) == 64.0


def test_memory_that_was_read_before_the_model_was_loaded_is_no_peak():
    sample = seen(series("process_pss_bytes", [12288.0], first=BEGIN + MS, pid=7))
    assert derive.series_of(sample, "process_pss_bytes")
    assert derive.peak_pss_bytes(sample) is None


def test_an_unwatched_process_has_nothing():
    sample = process()
    reads = [
        getattr(derive, name) for name in derive.__all__ if name.endswith(("_c", "_mhz", "_w"))
    ]
    assert [read(sample) for read in reads] == [None] * len(reads)
    assert derive.throttled_percent(sample) is None
    assert derive.throttles(sample) == ()
