"""Forecasts of exports, and the refusal before one that would not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import HostError
from slmdeploy.steps import export_cost
from slmdeploy.steps.export_cost import available_memory, float32_bytes, require_memory
from slmdeploy.target.load import load_target
from tests.steps.test_forecast import SMOLLM2

MEASURED = json.loads((Path(__file__).parent / "exports.json").read_text(encoding="utf-8"))
"""What ``benchmarks/forecast.py --json`` gave, a row for each export."""


def config_of(row):
    shape = row["shape"]
    return dataclasses.replace(
        SMOLLM2,
        hidden_size=shape["hidden"],
        intermediate_size=shape["mlp"],
        layers=shape["layers"],
        heads=shape["heads"],
        kv_heads=shape["heads"] // 3,
        vocab_size=shape["vocabulary"],
        tied=shape["tied"],
    )


def name_of(row):
    return f"{row['size']}-{row['target']}-{row['recipe']}"


@pytest.mark.parametrize("row", MEASURED, ids=name_of)
def test_what_was_measured_stays_under_the_forecast_and_within_a_fifth_of_it(row):
    exporter = load_target(row["target"], ()).exporter
    recipe, context = load_recipe(row["recipe"]), row["context"]
    cost = export_cost.export_cost(config_of(row), recipe, exporter, context)
    assert 0.8 * cost.peak_bytes <= row["peak_rss_bytes"] <= cost.peak_bytes


def test_a_longer_context_needs_larger_caches():
    costs = [
        export_cost.export_cost(SMOLLM2, load_recipe("w8"), "coreml", n).peak_bytes
        for n in (512, 1024)
    ]
    assert costs[1] - costs[0] == pytest.approx(1.1 * 2 * 2 * 4 * 30 * 512 * 3 * 64, abs=2)


def test_without_a_context_it_is_that_of_targets_within_the_models():
    none, short = load_recipe("none"), dataclasses.replace(SMOLLM2, context=100)
    given, own = (export_cost.export_cost(SMOLLM2, none, "coreml", n) for n in (2048, None))
    assert given == own
    given, own = (export_cost.export_cost(short, none, "coreml", n) for n in (100, 4096))
    assert given == own


def test_a_tied_table_is_counted_once():
    untied = dataclasses.replace(SMOLLM2, tied=False)
    assert float32_bytes(untied) - float32_bytes(SMOLLM2) == 4 * 49152 * 576
    assert float32_bytes(SMOLLM2) == pytest.approx(4 * 134.5e6, rel=0.01)


def test_a_runtime_that_was_not_measured_has_no_forecast():
    assert export_cost.export_cost(SMOLLM2, load_recipe("none"), "other") is None
    require_memory(SMOLLM2, load_recipe("none"), "other", "x")


def test_tflite_runtime_is_exported_as_litert_is():
    costs = [
        export_cost.export_cost(SMOLLM2, load_recipe("none"), name)
        for name in ("litert", "tflite-runtime")
    ]
    assert costs[0] == costs[1]


def test_an_export_without_the_memory_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(export_cost, "available_memory", lambda: 10**9)
    with pytest.raises(HostError, match=r"smol for litert would take about \d+ MiB .* 953 MiB are"):
        require_memory(SMOLLM2, load_recipe("8da8w"), "litert", "smol")
    monkeypatch.setattr(export_cost, "available_memory", lambda: None)
    require_memory(SMOLLM2, load_recipe("8da8w"), "litert", "smol")


def test_available_memory_is_within_the_control_group(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemAvailable: 800 kB\n")
    monkeypatch.setattr(export_cost, "_MEMINFO", meminfo)
    monkeypatch.setattr(export_cost, "_CGROUP", tmp_path)
    assert available_memory() == 800 * 1024
    (tmp_path / "memory.max").write_text("600000\n")
    (tmp_path / "memory.current").write_text("200000\n")
    assert available_memory() == 400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() == 800 * 1024
    meminfo.write_text("nonsense")
    assert available_memory() is None
