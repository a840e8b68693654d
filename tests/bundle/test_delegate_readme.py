"""The README beside a ``.pte`` of the Core ML delegate has the calls of that bundle."""

from __future__ import annotations

from slmdeploy.bundle.app_readme import app_readme
from slmdeploy.export.artifact import MethodInfo, TensorInfo
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, LitertOptions
from tests.bundle.bundles import decoder, manifest

OPTIONS = ExecutorchOptions(backend="coreml", compute_units="cpuAndGPU")


def delegated(name: str = "prefill", **changed):
    tensors = (
        TensorInfo(name="ids", shape=(1, 128), dtype="int32"),
        TensorInfo(name="k_cache", shape=(2, 1, 2, 512, 16), dtype="float16"),
    )
    method = MethodInfo(
        inputs=tensors, outputs=(), delegated_ops=3, total_ops=3, delegates=1, planned_bytes=9
    )
    about = {"backend": "coreml", "kernels": None, "methods": {name: method}}
    return decoder(about, provenance={"versions": {"executorch": "1.5.1"}}, **changed)


def test_a_decoders_cache_goes_from_each_call_to_the_next():
    text = app_readme(delegated(), OPTIONS)
    assert "for iOS 18 or later" in text
    assert "ExecuTorch 1.5.1 with its Core ML backend" in text
    assert "lets Core ML use `cpuAndGPU`" in text
    assert "AnyTensor.zeros(shape: [2, 1, 2, 512, 16], dataType: .half)" in text
    assert "try module.execute(method, inputs + [keys, values])" in text
    assert "let chunk = 128, capacity = 512" in text
    assert "while position < 500 {" in text
    assert "tokens.count - 1" in text
    assert "| `prefill` | `k_cache` | [2, 1, 2, 512, 16] | float16 |" in text
    assert "$" not in text


def test_without_last_no_row_is_asked_for():
    text = app_readme(delegated(logits="all"), OPTIONS)
    assert "tokens.count - 1" not in text
    assert "the row of the last token" in text


def test_any_other_model_is_one_call():
    text = app_readme(delegated("forward", cache=None), OPTIONS)
    assert 'try module.execute("forward", inputs)' in text
    assert "The cache of" not in text


def test_packages_have_their_own_and_what_a_runner_takes_has_none():
    assert "as a Core ML package" in app_readme(delegated(), CoremlOptions())
    assert app_readme(manifest(), ExecutorchOptions()) is None
    assert app_readme(manifest(), LitertOptions()) is None
