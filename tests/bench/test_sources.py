from __future__ import annotations

from slmdeploy.bench.metrics import METRICS
from slmdeploy.bench.summary import summarize

from .watched import process, seen, series


def value(sample, metric):
    return summarize([sample], "generate")[metric]


def test_a_value_names_its_sensors():
    sample = seen(*(series("temperature_c", [50.0] * 3, of=f"zone{i}") for i in range(6)))
    assert value(sample, "temperature_peak_c").sensor == (
        "temperature_c of zone0, zone1, zone2, zone3 and 2 more"
    )


def test_an_estimate_is_labelled():
    sample = seen(series("power_pmic_w", [5.0] * 6, of="sum of rails"))
    assert value(sample, "power_mean_w").sensor == "power_pmic_w (estimate) of sum of rails"
    assert value(sample, "energy_per_token_j").sensor == "power_pmic_w (estimate) of sum of rails"


def test_what_the_runner_measures_names_no_sensor_of_the_board():
    assert value(process(), "ttft_ms").sensor is None


def test_a_sensor_that_is_not_there_is_the_reason():
    sample = seen(series("power_total_w", [], reason="this board has no power sensor"))
    for metric in ("power_mean_w", "energy_per_token_j"):
        assert value(sample, metric).value is None
        assert value(sample, metric).reason == "this board has no power sensor"


def test_too_few_readings_are_the_reason():
    sample = seen(series("power_total_w", [5.0, 5.0]), sample=process(tokens=2))
    assert value(sample, "power_mean_w").reason == (
        "too few readings fell into the time that it needs"
    )


def test_a_process_that_was_over_between_two_readings_is_the_reason():
    sample = seen(series("temperature_c", [50.0] * 3), sample=process(tokens=2))
    assert value(sample, "peak_pss_bytes").reason == (
        "no reading fell into the time of the process"
    )


def test_a_board_that_was_not_watched_is_the_reason():
    sample = seen(reason="the board has no Python 3.6 or later for the agent")
    reasons = {value(sample, m.id).reason for m in METRICS.values() if m.quantities}
    assert reasons == {"the board has no Python 3.6 or later for the agent"}
    assert value(process(), "power_mean_w").reason == "the board's sensors were not read"
