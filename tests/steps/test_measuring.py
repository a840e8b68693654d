"""A measurement on emulated boards, whose sensors change while it runs."""

from __future__ import annotations

import json

import pytest

from slmdeploy import pipeline
from slmdeploy.bench.derive_sensors import series_of
from slmdeploy.bench.observing import span_ns
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.progress import Step, silent
from slmdeploy.steps.measuring import Bench
from slmdeploy.store.records import open_store

WATTS = 4.944 * 1.008
"""What the emulated Orin Nano's input rail draws: volts by amperes."""


@pytest.fixture(scope="session")
def bundle(tiny_kjv, tmp_path_factory):
    """tiny-kjv as the Raspberry Pi's target makes it; made once."""
    output = tmp_path_factory.mktemp("measured")
    (made,) = pipeline.export(str(tiny_kjv), ["rpi5-executorch"], verify=False, output=output)
    assert made.value is not None
    return open_bundle(made.value.bundle)


def after_the_first_process(act):
    """Progress that does something when the warm-up is over."""

    def told(step: Step) -> None:
        if step.name == "measure" and step.done == 1:
            act()

    return told


def once(bundle) -> Bench:
    return Bench(bundle, prompt=16, generate=200, runs=1, threads=1)


@pytest.mark.board
def test_a_raspberry_pi_that_throttles_meanwhile_is_found_out(bundle, rpi5, tmp_path):
    was = dict(rpi5.sensors.values)
    slow_down = after_the_first_process(lambda: rpi5.set(throttled=0x50005, max_khz=1_800_000))
    rpi5.set(temperature=84.5)
    try:
        made = once(bundle).run(rpi5.device("pi"), slow_down)
    finally:
        rpi5.set(**was)
    with open_store(tmp_path / "records.db") as store:
        record = store.get(store.add(made))
    warmup, timed = record.samples
    assert record.status == "valid"
    assert record.watch is not None
    assert record.watch.reason is None
    assert series_of(warmup, "clock_cap_mhz")[0].values[0] == 2400.0
    assert record.metrics["temperature_peak_c"].value == 84.5
    assert record.metrics["clock_cap_mhz"].value == 1800.0
    assert record.metrics["load_others_cores"].value is not None
    (pss,) = series_of(timed, "process_pss_bytes")
    assert pss.sensor == "/proc/{pid}/smaps_rollup"
    assert all(value % 1024 == 0 and 0 < value < 40e6 for value in pss.values)
    notes = " ".join(record.notes)
    assert "throttled in 1 of 1 run: under-voltage, throttled" in notes
    assert "capped clock: 1800 of 2400 MHz in 1 of 1 run" in notes
    assert "hot at the start: up to 84.5 C" in notes
    assert record.watch_log is not None
    assert all(json.loads(line) for line in record.watch_log.splitlines())


@pytest.mark.board
def test_an_orin_nano_has_energy_by_its_input_rail(bundle, orin_nano):
    record = once(bundle).run(orin_nano.device("nano"), silent)
    (timed,) = [sample for sample in record.samples if sample.role == "timed"]
    (rail,) = series_of(timed, "power_total_w")
    assert rail.of == "VDD_IN"
    assert rail.values == pytest.approx((WATTS,) * len(rail.values))
    first, last = timed.tokens[0].t_ns, timed.tokens[-1].t_ns
    begin, end = span_ns(timed) or (0, 0)
    joules = WATTS * (last - first) / 1e9 / 199
    # An emulated board that has much to do is read late: then there is a reason and no figure.
    for name, known, since, until in (
        ("power_mean_w", WATTS, begin, end),
        ("energy_per_token_j", joules, first, last),
    ):
        metric = record.metrics[name]
        if sum(since <= t <= until for t in rail.t_ns) >= 2:
            assert metric.value == pytest.approx(known)
            assert metric.sensor == "power_total_w of VDD_IN"
        else:
            assert metric.value is None
            assert metric.reason == "too few readings fell into the time that it needs"


@pytest.mark.board
@pytest.mark.slow
def test_a_board_without_python_is_measured_all_the_same(bundle, own_board):
    board = own_board("rpi4")
    board.root(["/bin/sh", "-c", "mv /usr/bin/python3 /usr/bin/python3.away"])
    record = once(bundle).run(board.device("pi"), silent)
    assert record.status == "valid"
    assert record.metrics["decode_tokens_per_s"].value is not None
    reason = "the board has no Python 3.6 or later for the agent"
    assert record.watch is not None
    assert record.watch.reason == reason
    assert record.metrics["temperature_peak_c"].reason == reason
    assert record.metrics["power_mean_w"].value is None
