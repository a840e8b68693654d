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


LOOSE = {"untied-local-executorch-8da8w"}
"""Far below: running the exported integer graphs takes some tied models 0.4 GB more than others
of their size, for a reason that is not known; the forecast has it for all."""


def name_of(row):
    return f"{row['size']}-{row['target']}-{row['recipe']}"


@pytest.mark.parametrize("row", MEASURED, ids=name_of)
def test_what_was_measured_stays_under_the_forecast_and_within_a_fifth_of_it(row):
    runtime = row["target"].removeprefix("local-")
    cost = export_cost.export_cost(config_of(row), load_recipe(row["recipe"]), runtime)
    least = 0.6 if name_of(row) in LOOSE else 0.8
    assert least * cost.peak_bytes <= row["peak_rss_bytes"] <= cost.peak_bytes


def test_a_tied_table_is_counted_once():
    untied = dataclasses.replace(SMOLLM2, tied=False)
    assert float32_bytes(untied) - float32_bytes(SMOLLM2) == 4 * 49152 * 576
    assert float32_bytes(SMOLLM2) == pytest.approx(4 * 134.5e6, rel=0.01)


def test_a_runtime_that_was_not_measured_has_no_forecast():
    assert export_cost.export_cost(SMOLLM2, load_recipe("none"), "coreml") is None
    require_memory(SMOLLM2, load_recipe("none"), "coreml", "x")


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
