from __future__ import annotations

import pytest

from slmdeploy.bench.metrics import METRICS, get_metric, metrics_for
from slmdeploy.errors import UnknownNameError

SUFFIX = {
    "ms": "_ms",
    "bytes": "_bytes",
    "tokens/s": "_tokens_per_s",
    "count": "",
    "C": "_c",
    "MHz": "_mhz",
    "%": "_percent",
    "W": "_w",
    "J": "_j",
    "cores": "_cores",
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.id)
def test_an_id_ends_in_its_unit_and_a_definition_is_a_sentence(metric):
    assert metric.id.endswith(SUFFIX[metric.unit])
    assert metric.definition.endswith(".")
    higher = metric.unit in {"tokens/s", "MHz"} or "accuracy" in metric.id
    assert metric.better == ("higher" if higher else "lower")


def test_a_decoder_and_a_method_have_their_own_metrics():
    decoder = {metric.id for metric in metrics_for("generate")}
    method = {metric.id for metric in metrics_for("invoke")}
    assert {"ttft_ms", "itl_p99_ms", "load_ms"} <= decoder
    assert {"latency_p99_ms", "load_ms"} <= method
    assert not {"ttft_ms", "itl_p50_ms"} & method


def test_an_unknown_metric_lists_those_that_exist():
    with pytest.raises(UnknownNameError, match="ttft_ms"):
        get_metric("ttft")
