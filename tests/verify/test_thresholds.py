from __future__ import annotations

import pytest

from slmdeploy.verify.comparators.registry import COMPARATORS
from slmdeploy.verify.thresholds import RUNG_KINDS, THRESHOLDS, limits_for

QUANTIZED = ("fp16", "int8", "int4")


def test_the_table_has_every_kind_and_precision_and_only_known_metrics():
    assert tuple(THRESHOLDS) == RUNG_KINDS
    for row in THRESHOLDS.values():
        assert set(row) == {"fp32", *QUANTIZED}
        assert all(set(limits) <= set(COMPARATORS) for limits in row.values())


@pytest.mark.parametrize("kind", [kind for kind in RUNG_KINDS[1:] if kind != "float16"])
def test_fp32_rungs_hold_absolute_limits(kind):
    assert set(limits_for(kind, RUNG_KINDS[RUNG_KINDS.index(kind) - 1], "fp32")) == {
        "max_abs_error"
    }


def test_a_device_whose_artifact_promises_the_hosts_bits_is_held_closer():
    device = limits_for("device", "artifact", "fp32", same_bits=True)
    assert device["max_abs_error"] == 1e-5


def test_any_other_device_is_held_as_close_to_the_host_as_an_artifact_to_eager():
    device = limits_for("device", "artifact", "fp32")
    artifact = limits_for("artifact", "exported", "fp32")
    assert device["max_abs_error"] == artifact["max_abs_error"] == 1e-4


def test_a_device_without_a_host_run_is_held_as_an_artifact():
    assert limits_for("device", "exported", "fp32") == limits_for("artifact", "exported", "fp32")


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("kind", ["compressed", "exported", "artifact", "device"])
def test_across_compression_there_is_no_limit(kind, precision):
    assert limits_for(kind, "decoder", precision) == {}


@pytest.mark.parametrize("precision", QUANTIZED)
def test_quantized_artifacts_are_held_against_the_compressed_model(precision):
    assert set(limits_for("artifact", "compressed", precision)) == {"snr_db", "top1_agreement"}


def test_fewer_bits_get_wider_limits():
    rows = [limits_for("artifact", "compressed", precision) for precision in QUANTIZED]
    for metric in ("snr_db", "top1_agreement"):
        values = [row[metric] for row in rows]
        assert values == sorted(values, reverse=True)


def test_a_package_in_float32_is_held_absolutely_and_closer_where_nothing_is_compressed():
    limits = [limits_for("float32", "exported", one)["max_abs_error"] for one in QUANTIZED]
    assert limits == [1e-4, 1e-3, 1e-3]


@pytest.mark.parametrize("precision", ["fp32", *QUANTIZED])
def test_rounding_to_float16_is_judged_alike_whatever_the_recipe(precision):
    assert limits_for("float16", "float32", precision) == {"snr_db": 40.0, "top1_agreement": 0.9}


def test_the_decoder_is_float32_whatever_the_recipe():
    assert limits_for("decoder", "source", "int4") == limits_for("decoder", "source", "fp32")
