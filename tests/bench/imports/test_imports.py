"""What other tools write becomes figures of ours only where the definitions agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slmdeploy.bench.imports.formats import FORMATS, NOT_READ, detect, parse
from slmdeploy.bench.imports.parsed import Parsed
from slmdeploy.errors import UnknownNameError, UsageError

SAMPLES = Path(__file__).resolve().parents[3] / "fixtures" / "imports"
LOG = (SAMPLES / "executorch-llm-runner.log").read_bytes()
ANDROID = (SAMPLES / "executorch-android-llm.json").read_bytes()
REPORT = (SAMPLES / "device-report.json").read_bytes()
LITERT = (SAMPLES / "litert-benchmark-model.txt").read_bytes()


def theirs(parsed: Parsed) -> dict[str, float]:
    return {one.name: one.value for one in parsed.theirs}


def observed(**changed: object) -> bytes:
    """A log of one answer: 64 tokens in, 33 out, the first after 320 ms, the last after 1640."""
    stamps = {
        "prompt_tokens": 64,
        "generated_tokens": 33,
        "inference_start_ms": 500,
        "prompt_eval_end_ms": 820,
        "first_token_ms": 820,
        "inference_end_ms": 2140,
    }
    return b"PyTorchObserver " + json.dumps({**stamps, **changed}).encode()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (LOG, "executorch"),
        (ANDROID, "executorch-android"),
        (LITERT, "litert"),
        (REPORT, "device-report"),
    ],
)
def test_a_format_is_told_by_its_content(data: bytes, name: str):
    assert detect(data) == name
    assert parse(data) == parse(data, name)


def test_the_runners_decode_rate_is_derived_anew_by_our_definition():
    parsed = parse(LOG)
    rate = parsed.metrics()["decode_tokens_per_s"]
    assert rate.value == pytest.approx(32 / 1.320)
    assert "whole milliseconds" in str(rate.sensor)
    assert theirs(parsed)["decode_token_per_sec"] == pytest.approx(33 / 1.320)


def test_what_the_runner_defines_in_another_way_is_none_with_the_reason():
    metrics = parse(LOG).metrics()
    for name in ("ttft_ms", "prefill_tokens_per_s"):
        assert metrics[name].value is None
        assert "before the prompt is tokenized" in str(metrics[name].reason)
    assert metrics["itl_p50_ms"].reason == "the log has no stamp for each token"


def test_memory_comes_from_the_logs_lines_and_zero_is_none():
    assert parse(LOG).metrics()["peak_rss_bytes"].value == 243.75 * 2**20
    unsupported = observed() + b"\nRSS after loading model: 0.000000 MiB (0 if unsupported)\n"
    assert parse(unsupported).metrics()["peak_rss_bytes"].value is None


def test_several_answers_are_several_runs_and_all_are_kept():
    parsed = parse(b"\n".join([observed(), observed(inference_end_ms=2220), observed()]))
    assert [run["inference_end_ms"] for run in parsed.runs] == [2140, 2220, 2140]
    assert parsed.metrics()["decode_tokens_per_s"].n == 3


@pytest.mark.parametrize(
    "changed",
    [{"first_token_ms": 0}, {"inference_end_ms": 820}, {"generated_tokens": 1}],
    ids=["a stamp that was never taken", "no time", "one token"],
)
def test_a_rate_that_cannot_be_derived_is_none_never_0(changed: dict[str, int]):
    rate = parse(observed(**changed)).metrics()["decode_tokens_per_s"]
    assert (rate.value, rate.n) == (None, 0)
    assert "lacks first_token_ms" in str(rate.reason)


def test_the_apps_figures_are_its_own_but_for_the_load_time():
    parsed = parse(ANDROID)
    metrics = parsed.metrics()
    assert metrics["load_ms"].value == 312.5
    assert metrics["decode_tokens_per_s"].value is None
    assert theirs(parsed) == {"generate_time(ms)": 1650.25, "token_per_sec": 61.5}
    assert (parsed.device, parsed.model) == ("google, Pixel 8, Android 15", "smollm2")


def test_an_app_that_could_not_load_gives_a_failed_measurement():
    rows = [{"metric": "load_status", "actualValue": 35.0}]
    parsed = parse(json.dumps(rows).encode())
    assert parsed.failed == "the app says load_status 35"
    assert parsed.metrics()["load_ms"].value is None


def test_litert_gives_percentiles_only_where_it_prints_them():
    metrics = parse(LITERT).metrics()
    assert metrics["load_ms"].value == pytest.approx(20.283)
    assert metrics["latency_p50_ms"].value == pytest.approx(125.35)
    assert metrics["latency_p95_ms"].value == pytest.approx(126.4)
    assert metrics["latency_p90_ms"].reason == "the tool prints no p90"
    older = LITERT.replace(b" p5=124950 median=125350 p95=126400", b"")
    assert "prints a mean" in str(parse(older).metrics()["latency_p50_ms"].reason)
    assert theirs(parse(older))["Inference (avg)"] == pytest.approx(125.4)


def test_too_few_runs_have_no_95th_percentile():
    few = LITERT.replace(b"count=50", b"count=10")
    assert parse(few).metrics()["latency_p95_ms"].reason == "p95 needs 20 values"


def test_a_log_that_powershell_wrote_is_read():
    assert parse(LOG.decode().encode("utf-16")).runs == parse(LOG).runs


def test_what_is_in_no_format_is_refused_with_those_that_are_known():
    with pytest.raises(UsageError, match="no format that is known") as caught:
        parse(b"hello")
    assert "device-report, executorch, executorch-android, litert" in str(caught.value.hint)
    with pytest.raises(UnknownNameError, match="'tflite'"):
        parse(b"", "tflite")


def test_an_apps_report_gives_load_latency_and_compute_units():
    parsed = parse(REPORT)
    metrics = parsed.metrics()
    assert (metrics["load_ms"].value, metrics["load_ms"].n) == (212.5, 3)
    assert metrics["latency_p50_ms"].value == pytest.approx(11.3)
    assert metrics["latency_p95_ms"].reason == "p95 needs 20 timed calls (prediction_ms)"
    assert theirs(parsed) == {"median_prediction_ms": 11.4}
    assert "compute units: cpuAndNeuralEngine" in parsed.notes
    assert parsed.device == "iPhone16,1, iOS 18.1"
    assert parsed.workload.runs == 10


def test_medians_that_xcode_shows_stay_its_own():
    typed = {"schema": "slmdeploy/device-report/1", "tool": "Xcode 16.2", "median_load_ms": 210}
    parsed = parse(json.dumps(typed).encode())
    assert theirs(parsed) == {"median_load_ms": 210}
    assert parsed.metrics()["load_ms"].value is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"schema": "slmdeploy/device-report/2"}, "schema"),
        ({"load_ms": 3}, "load_ms"),
        ({"prediction_ms": [-1]}, "prediction_ms.0"),
        ({"latency": 3}, "latency"),
    ],
)
def test_a_wrong_field_of_a_report_is_named(changed: dict[str, object], said: str):
    with pytest.raises(UsageError, match=f"known form: {said}"):
        parse(json.dumps(json.loads(REPORT) | changed).encode())


def test_xcodes_report_is_refused_rather_than_guessed():
    with pytest.raises(UsageError, match=r"would be a guess.*device-report"):
        parse(b"{}", "coreml-xcode")
    assert set(NOT_READ) & set(FORMATS) == set()


_KEYS = st.sampled_from(
    [
        *("metric", "actualValue", "deviceInfo", "benchmarkModel", "name", "device"),
        *("prompt_tokens", "generated_tokens", "first_token_ms", "inference_end_ms"),
        *("inference_start_ms", "prompt_eval_end_ms", "model_load_start_ms", "model_load_end_ms"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_JUNK = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: b"PyTorchObserver " + json.dumps(value).encode()),
    st.lists(
        st.sampled_from([*LITERT.splitlines(), b"count=9 avg=1e99 median=.", b"(MB): init=1"]),
        max_size=6,
    ).map(b"\n".join),
    st.tuples(
        st.sampled_from([LOG, ANDROID, LITERT, REPORT]), st.integers(0, 3000), st.binary(max_size=9)
    ).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]),
)


@pytest.mark.parametrize("name", ["auto", *FORMATS])
@given(data=_JUNK)
@example(data=b'PyTorchObserver {"generated_tokens":1e999,"first_token_ms":1' + b"0" * 400 + b"}")
@example(data=b"[" * 100_000)
@example(data=b'{"schema":"slmdeploy/device-report/1","tool":"t","load_ms":[1e999]}')
@example(data=b'[{"metric":"load_status","actualValue":NaN}]')
def test_no_junk_crashes_a_parser_and_no_figure_is_not_finite(name: str, data: bytes):
    try:
        parsed = parse(data, name)
    except UsageError:
        return
    json.dumps([value.model_dump() for value in parsed.metrics().values()], allow_nan=False)
    json.dumps(parsed.model_dump(), allow_nan=False)
