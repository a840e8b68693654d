"""Estimates from headers alone."""

from __future__ import annotations

import dataclasses

import pytest

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.export.coreml import sizes as coreml
from slmdeploy.export.litert import sizes
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.steps.forecast import artifact_bytes, peak_bytes, target_fits

SMOLLM2 = DecoderConfig(
    family="llama",
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    layers=30,
    heads=9,
    kv_heads=3,
    head_dim=64,
    norm_eps=1e-5,
    rope_theta=100000.0,
    context=8192,
    tied=True,
)


def test_float32_takes_four_bytes_a_weight():
    weights = 2 * 49152 * 576 + 30 * (960 * 576 + 576 * 576 + 2 * 1536 * 576 + 576 * 1536)
    assert artifact_bytes(SMOLLM2, load_recipe("none")) == 4 * weights


@pytest.mark.parametrize("smaller", ["8da8w", "8da4w-head8", "8da4w"])
def test_each_recipe_is_smaller_than_the_one_before(smaller):
    order = ["none", "fp16", "8da8w", "8da4w-head8", "8da4w"]
    larger = order[order.index(smaller) - 1]
    sizes = [artifact_bytes(SMOLLM2, load_recipe(name)) for name in (smaller, larger)]
    assert sizes[0] < sizes[1]


def test_the_forecast_is_near_what_an_export_of_this_model_gave():
    # slmdeploy export demo --recipe 8da4w-head8 wrote 118,464,000 bytes.
    assert artifact_bytes(SMOLLM2, load_recipe("8da4w-head8")) == pytest.approx(118.5e6, rel=0.02)


def test_a_longer_context_needs_more_memory():
    recipe = load_recipe("8da8w")
    more = peak_bytes(SMOLLM2, recipe, 4096) - peak_bytes(SMOLLM2, recipe, 2048)
    assert more == 2 * 4 * 30 * 2048 * 3 * 64


def test_the_peak_is_near_what_was_measured_at_the_full_context():
    # slmdeploy bench --prompt 1900 of that export: 214.9 MiB.
    assert peak_bytes(SMOLLM2, load_recipe("8da4w-head8"), 2048) == pytest.approx(
        214.9 * 2**20, rel=0.1
    )


def test_an_untied_model_counts_its_head_once():
    untied = dataclasses.replace(SMOLLM2, tied=False)
    recipe = load_recipe("none")
    assert artifact_bytes(untied, recipe) == artifact_bytes(SMOLLM2, recipe)


def test_float16_is_half_in_the_file_but_whole_in_memory():
    half, whole = load_recipe("fp16"), load_recipe("none")
    table = 2 * SMOLLM2.vocab_size * SMOLLM2.hidden_size
    assert artifact_bytes(SMOLLM2, half) * 2 == artifact_bytes(SMOLLM2, whole)
    assert peak_bytes(SMOLLM2, half, 64) == peak_bytes(SMOLLM2, whole, 64) - table


def test_litert_keeps_a_tied_table_once_where_it_can():
    table = 49152 * 576
    assert (
        sizes.artifact_bytes(SMOLLM2, load_recipe("none"))
        == artifact_bytes(SMOLLM2, load_recipe("none")) - 4 * table
    )
    eight = artifact_bytes(SMOLLM2, load_recipe("8da8w"))
    assert sizes.artifact_bytes(SMOLLM2, load_recipe("8da8w")) == eight - table - 4 * 49152
    # The head has 4 bits here and the table 8.
    four = load_recipe("8da4w")
    assert sizes.artifact_bytes(SMOLLM2, four) == artifact_bytes(SMOLLM2, four)


def test_litert_packs_once_for_each_signature_and_widens_what_has_no_kernel():
    eight, widened = (sizes.peak_bytes(SMOLLM2, load_recipe(name), 512) for name in ("8da8w", "w8"))
    assert eight == pytest.approx(484 * 2**20, rel=0.01)
    assert widened > 2.5 * eight


def test_a_peak_on_the_device_that_is_not_forecast_has_a_reason(tiny_kjv, tiny_intents):
    for model in (tiny_kjv, tiny_intents):
        for fit in target_fits(read_model(parse_ref(str(model))), ()):
            assert (fit.device_peak_bytes is None) is bool(fit.device_peak_reason)


@pytest.mark.parametrize(
    ("recipe", "measured"),
    [
        # slmdeploy export demo --target iphone16pro-coreml
        ("w4-g32", 78.3e6),
    ],
)
def test_the_size_of_a_core_ml_package_is_near_that_of_an_export(recipe, measured):
    assert coreml.artifact_bytes(SMOLLM2, load_recipe(recipe)) == pytest.approx(measured, rel=0.05)


def test_core_ml_leaves_zeros_out_and_has_a_bit_for_each_weight():
    table, body = 49152 * 576, 30 * 576 * (960 + 576 + 3 * 1536)
    half = coreml.artifact_bytes(SMOLLM2, load_recipe("sparse50"))
    assert half == 2 * table + body + body // 8
    assert coreml.artifact_bytes(SMOLLM2, load_recipe("sparse24")) == half


def test_a_palette_has_a_table_for_some_rows_or_for_all():
    table, rows = 49152 * 576, 49152 + 30 * (960 + 576 + 2 * 1536 + 576)
    weights = table + 30 * 576 * (960 + 576 + 3 * 1536)
    sizes = {n: coreml.artifact_bytes(SMOLLM2, load_recipe(n)) for n in ("palette4", "palette8")}
    assert sizes["palette4"] == weights // 2 + rows // 16 * 16 * 2
    assert sizes["palette8"] == weights + (1 + 4 * 30) * 256 * 2
