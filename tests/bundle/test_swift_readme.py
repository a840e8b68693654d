"""A bundle's README has the numbers of that bundle, and the calls that its package takes."""

from __future__ import annotations

import pytest

from slmdeploy.bundle.swift_readme import swift_readme
from slmdeploy.export.artifact import MethodInfo, TensorInfo
from slmdeploy.export.options import CoremlOptions
from tests.bundle.bundles import decoder

IDS = TensorInfo(name="ids", shape=(1, 128), dtype="int32")
CACHE = TensorInfo(name="k_cache", shape=(2, 1, 2, 512, 16), dtype="float16")


def coreml(**changed):
    method = MethodInfo(
        inputs=(IDS,),
        outputs=(),
        states=(CACHE,),
        delegated_ops=None,
        total_ops=3,
        delegates=None,
        planned_bytes=None,
    )
    about = {"file": "model.mlpackage", "runtime": "coreml", "methods": {"prefill": method}}
    return decoder(about, **changed)


def test_a_decoder_with_states_is_called_by_the_state_api():
    text = swift_readme(coreml(), CoremlOptions(compute_units="all"))
    assert "for iOS 18 or later" in text
    assert "let state = prefill.makeState()" in text
    assert "model.prediction(from: features, using: state)" in text
    assert "let chunk = 128, capacity = 512" in text
    assert "while position < 500 {" in text
    assert "computeUnits = .all" in text
    assert 'inputs["last"]' in text
    assert "| `prefill` | `k_cache` (state) | [2, 1, 2, 512, 16] | float16 |" in text
    assert "$" not in text.replace("$0", "")


def test_without_last_no_row_is_asked_for():
    text = swift_readme(coreml(logits="all"), CoremlOptions(logits="all"))
    assert 'inputs["last"]' not in text
    assert "the row of the last token" in text


def test_ios_17_carries_the_cache_itself():
    text = swift_readme(coreml(), CoremlOptions(deployment_target="iOS17"))
    assert "iOS 17 has no states" in text
    assert 'inputs["k_cache"] = output.featureValue(for: "k_cache_out")' in text
    assert "makeState" not in text


@pytest.mark.parametrize("target", ["iOS17", "iOS18"])
def test_any_other_model_is_one_call(target):
    text = swift_readme(coreml(cache=None), CoremlOptions(deployment_target=target))
    assert "model.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs))" in text
    assert "makeState" not in text


def test_with_several_lengths_a_function_is_named():
    text = swift_readme(coreml(cache=None), CoremlOptions())
    assert "functionName" not in text
    made = coreml(cache=None)
    (method,) = made.artifact.methods.values()
    methods = {f"forward_{n}": method.model_copy(update={"length": n}) for n in (128, 32)}
    artifact = made.artifact.model_copy(update={"methods": methods})
    text = swift_readme(made.model_copy(update={"artifact": artifact}), CoremlOptions())
    assert 'configuration.functionName = "forward_32"  // the shortest that the text fits' in text
    assert "`attention_mask` is 0 there" in text
    assert "$" not in text
