from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.errors import RunnerError
from slmdeploy.verify.ladder import NOT_REACHED, Rung, climb
from slmdeploy.verify.thresholds import RUNG_KINDS

LOGITS = np.random.default_rng(0).normal(size=(17, 64)).astype(np.float32) * 5


def rung(kind, output=None, *, reason=None, text=None):
    run = None if output is None else lambda: output
    return Rung(kind, kind, run, reason, text)


def noise(relative, seed=1):
    generator = np.random.default_rng(seed)
    return LOGITS * (1 + relative * generator.normal(size=LOGITS.shape).astype(np.float32))


def statuses(results):
    return [result.status for result in results]


def test_a_ladder_of_equal_rungs_passes_and_the_first_has_nothing_to_compare_with():
    results = climb([rung(kind, LOGITS) for kind in RUNG_KINDS], precision="fp32")
    assert statuses(results) == ["report"] + ["pass"] * (len(RUNG_KINDS) - 1)
    assert results[0].against is None
    assert [result.against for result in results[1:]] == list(RUNG_KINDS[:-1])
    assert results[3].metrics["greedy_match_length"] == 17


def test_the_climb_stops_at_the_first_rung_that_breaks():
    ran = []
    last = Rung("device", "device", lambda: ran.append(1) or LOGITS)
    rungs = [rung("source", LOGITS), rung("decoder", LOGITS + 1e-3), rung("exported", LOGITS), last]
    results = climb(rungs, precision="fp32")
    assert statuses(results) == ["report", "fail", "absent", "absent"]
    assert results[1].reason == "max_abs_error is 0.001, at most 0.0001 is wanted"
    assert results[3].reason == NOT_REACHED
    assert ran == []


@pytest.mark.parametrize(("same_bits", "status"), [(True, "fail"), (False, "pass")])
def test_a_device_is_held_to_the_bits_that_its_artifact_promises(same_bits, status):
    device = Rung("device", "device", lambda: LOGITS + 2e-5, same_bits=same_bits)
    assert statuses(climb([rung("artifact", LOGITS), device], precision="fp32"))[1] == status


def test_a_rung_whose_source_is_gone_is_absent_and_the_next_is_held_against_the_one_before():
    rungs = [
        rung("source", reason="no transformers"),
        rung("decoder", LOGITS),
        rung("exported", reason="the checkpoint is gone"),
        rung("artifact", LOGITS),
    ]
    results = climb(rungs, precision="fp32")
    assert statuses(results) == ["absent", "report", "absent", "pass"]
    assert results[0].reason == "no transformers"
    assert results[3].against == "decoder"


def test_across_compression_any_drift_is_reported_and_passes():
    other = np.random.default_rng(9).normal(size=LOGITS.shape).astype(np.float32)
    results = climb([rung("decoder", LOGITS), rung("compressed", other)], precision="int4")
    assert results[1].status == "report"
    assert results[1].metrics["snr_db"] < 5
    assert results[1].thresholds == {}


def test_across_compression_degenerate_output_fails():
    stuck = np.zeros_like(LOGITS)
    stuck[:, 3] = 1.0
    results = climb([rung("decoder", LOGITS), rung("compressed", stuck)], precision="int4")
    assert results[1].status == "fail"
    assert results[1].reason == "degenerate output: token 3 repeats 17 times in a row"


def test_a_loop_that_the_reference_has_too_is_said_but_does_not_fail():
    stuck = np.zeros_like(LOGITS)
    stuck[:, 3] = 1.0
    results = climb([rung("decoder", stuck), rung("compressed", stuck)], precision="int4")
    assert results[1].status == "report"
    assert "as the rung before" in results[1].reason


def test_text_that_a_rung_wrote_freely_is_what_is_checked_for_loops():
    rungs = [
        rung("decoder", LOGITS, text=lambda: list(range(40))),
        rung("compressed", LOGITS, text=lambda: [5, 6] * 20),
    ]
    assert "a phrase of 2 tokens" in climb(rungs, precision="int4")[1].reason


@pytest.mark.parametrize(
    ("precision", "good", "bad"), [("int4", 0.1, 0.5), ("int8", 0.01, 0.2), ("fp16", 0.001, 0.05)]
)
def test_a_quantized_artifact_is_held_in_snr(precision, good, bad):
    base = [rung("decoder", LOGITS), rung("compressed", LOGITS)]
    fine = climb([*base, rung("artifact", noise(good))], precision=precision)[2]
    broken = climb([*base, rung("artifact", noise(bad))], precision=precision)[2]
    assert fine.status == "pass"
    assert broken.status == "fail"
    assert "snr_db" in broken.reason


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
@pytest.mark.parametrize("factor", [2040.0, 1 / 2040])
def test_a_dropped_scale_breaks_the_artifact_though_it_chooses_the_same_tokens(precision, factor):
    rungs = [rung("compressed", LOGITS), rung("artifact", LOGITS * np.float32(factor))]
    result = climb(rungs, precision=precision)[1]
    assert result.metrics["top1_agreement"] == 1.0
    assert result.status == "fail"


@pytest.mark.parametrize("kind", ["compressed", "artifact"])
def test_nan_breaks_any_rung_by_name(kind):
    output = LOGITS.copy()
    output[2, 5] = np.nan
    result = climb([rung("decoder", LOGITS), rung(kind, output)], precision="int4")[1]
    assert result.status == "fail"
    assert result.reason == "the output is not finite: 1 of 1088 values are NaN or infinite"
    assert result.metrics == {}


def test_nan_breaks_even_the_first_rung():
    output = np.full((2, 2), np.inf, np.float32)
    results = climb([rung("source", output), rung("decoder", output)], precision="fp32")
    assert statuses(results) == ["fail", "absent"]


def test_an_output_of_another_shape_breaks_the_rung():
    result = climb([rung("source", LOGITS), rung("decoder", LOGITS[:3])], precision="fp32")[1]
    assert result.reason == "the output has shape [3, 64], the rung before [17, 64]"


def test_an_empty_output_breaks_the_rung():
    results = climb([rung("source", LOGITS), rung("decoder", LOGITS[:0])], precision="fp32")
    assert results[1].reason == "the output is empty"


def test_a_generic_model_has_arrays_of_any_shape_and_no_text():
    same_class = np.tile(np.array([0.1, 0.9], np.float32), (40, 2, 1))
    rungs = [rung("compressed", same_class), rung("artifact", same_class)]
    results = climb(rungs, precision="int8", model="generic")
    assert statuses(results) == ["report", "pass"]
    assert results[1].metrics["greedy_match_length"] == 80


def test_each_result_is_told_as_it_comes_with_its_output():
    told = []
    rungs = [rung("source", reason="gone"), rung("decoder", LOGITS)]
    results = climb(rungs, precision="fp32", on_result=lambda *told_of: told.append(told_of))
    assert tuple(result for result, _ in told) == results
    assert told[0][1] is None
    assert told[1][1] is LOGITS


def test_what_a_rung_raises_comes_through():
    def away():
        raise RunnerError("no such operator", cause="operator_missing")

    with pytest.raises(RunnerError):
        climb([Rung("device", "device", away)], precision="fp32")


def test_results_survive_json():
    rungs = [rung("source", LOGITS), rung("decoder", LOGITS), rung("artifact", -LOGITS)]
    for result in climb(rungs, precision="fp32"):
        assert RungResult.model_validate_json(result.model_dump_json()) == result
