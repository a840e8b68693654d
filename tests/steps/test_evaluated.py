"""The rungs of a Core ML bundle, and that each kind of damage breaks one.

The bundle is a real export of the trained fixture; each control changes one thing in a copy.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from slmdeploy import pipeline
from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.bundle.manifest import RungResult
from slmdeploy.cli.app import app
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.errors import BundleError
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.mil.program import BlobRef, Constant
from slmdeploy.progress import silent
from slmdeploy.runtime.coreml import EvaluatorEngine
from slmdeploy.steps.evaluated import evaluated
from slmdeploy.steps.inspecting import inspect_bundle
from slmdeploy.steps.ladder import climb_bundle, stored_rungs
from slmdeploy.steps.verifying import verify_bundle
from tests.steps.foretold import same_reason

pytestmark = pytest.mark.slow
FLOAT16 = 10
MODEL, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"


@pytest.fixture(scope="module")
def bundle(tiny_kjv, tmp_path_factory):
    output = tmp_path_factory.mktemp("bundles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        (made,) = pipeline.export(
            str(tiny_kjv), ["iphone16pro-coreml"], recipe="fp16", output=output
        )
    assert made.value is not None, made.error
    return made.value.bundle


@pytest.fixture
def copied(bundle, tmp_path):
    return open_bundle(shutil.copytree(bundle, tmp_path / bundle.name))


def test_of_memory_on_the_device_it_says_what_inspect_said_before(bundle, tiny_kjv):
    assert same_reason(tiny_kjv, open_bundle(bundle).manifest)


def climbed(bundle: Bundle) -> dict[str, RungResult]:
    """The ladder without a look at hashes, which would find any damage before."""
    golden = bundle.golden()
    below = stored_rungs(golden, {}, generic=False)
    results = climb_bundle(bundle, below, golden, host=LOCAL, progress=silent)
    return {result.name: result for result in results}


def specification(bundle: Bundle):
    with quiet():
        from coremltools.proto import Model_pb2
    model = Model_pb2.Model()
    model.ParseFromString((bundle.artifact_path / MODEL).read_bytes())
    return model


def operations(model, function):
    found = model.mlProgram.functions[function]
    return found.block_specializations[found.opset].operations


def write(bundle: Bundle, model) -> None:
    (bundle.artifact_path / MODEL).write_bytes(model.SerializeToString())


def test_the_trained_fixture_holds_in_float32_and_chooses_alike_in_float16(bundle):
    rungs = {rung.name: rung for rung in verify_bundle(bundle, None, silent).rungs}
    assert rungs["float32"].status == rungs["float16"].status == "pass"
    assert rungs["float32"].metrics["max_abs_error"] <= 1e-4
    assert rungs["float16"].metrics["top1_agreement"] == 1.0
    assert rungs["float16"].against == "float32"
    assert rungs["float16"].metrics["max_abs_error"] > rungs["float32"].metrics["max_abs_error"]


def test_a_copy_that_nothing_was_done_to_but_be_written_again_holds(copied):
    write(copied, specification(copied))
    rungs = climbed(copied)
    assert rungs["float32"].status == rungs["float16"].status == "pass"


def test_a_changed_file_is_found_by_its_hash_before_anything_runs(copied):
    weights = copied.artifact_path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match=r"weight\.bin"):
        verify_bundle(copied.path, None, silent)


def blobs(bundle: Bundle) -> Iterator[tuple[str, BlobRef, Constant]]:
    for operation in open_package(bundle.artifact_path).function("decode").operations:
        for constant in operation.attributes.values():
            if isinstance(constant.value, BlobRef):
                yield operation.name, constant.value, constant


def test_flipped_bytes_of_a_weight_break_the_float32_rung(copied):
    """A bit of the exponent of 100 among the numbers of one matrix, and nothing else."""
    ((_, place, _), *_) = [one for one in blobs(copied) if "down_weight" in one[0]]
    weights = copied.artifact_path / WEIGHTS
    data = bytearray(weights.read_bytes())
    (start,) = struct.unpack_from("<Q", data, place.offset + 16)
    for index in range(100):
        data[start + 2 * index + 1] ^= 0x04
    weights.write_bytes(data)
    rungs = climbed(copied)
    assert rungs["float32"].status == "fail"
    assert rungs["float16"].status == "absent"


@pytest.mark.parametrize("function", ["prefill", "decode"])
def test_a_dropped_state_write_breaks_the_float32_rung(copied, function):
    model = specification(copied)
    body = operations(model, function)
    writes = [place for place, one in enumerate(body) if one.type == "write_state"]
    del body[writes[0]]
    write(copied, model)
    assert climbed(copied)["float32"].status == "fail"


def test_a_swapped_concat_breaks_the_float32_rung(copied):
    """The two halves of a rotation: both float16 and of one shape, so that only values change."""
    model = specification(copied)
    types = {out.name: out.type for one in operations(model, "decode") for out in one.outputs}
    halves = [
        one.inputs["values"].arguments
        for one in operations(model, "decode")
        if one.type == "concat" and one.outputs[0].type.tensorType.dataType == FLOAT16
    ]
    assert halves, "no rotation was found: the control would be vacuous"
    first, second = halves[0]
    assert first.name != second.name
    assert types[first.name] == types[second.name]
    first.name, second.name = second.name, first.name
    write(copied, model)
    assert climbed(copied)["float32"].status == "fail"


def test_on_a_mac_core_ml_takes_the_float16_rung_and_the_evaluator_keeps_the_other(
    bundle, monkeypatch
):
    made = []
    monkeypatch.setattr(
        "slmdeploy.steps.evaluated.PredictEngine", lambda path: made.append(path) or "core ml"
    )
    ways = evaluated(open_bundle(bundle), on_mac=True)
    assert [way.kind for way in ways] == ["float32", "float16"]
    assert isinstance(ways[0].runner()._engine, EvaluatorEngine)
    assert ways[1].runner()._engine == "core ml"
    assert made == [open_bundle(bundle).artifact_path]


def test_inspect_says_what_is_in_the_bundle_and_that_nothing_overflows(bundle):
    found = inspect_bundle(bundle, run=True, progress=silent)
    decode = {one.name: one for one in found.functions}["decode"]
    assert found.deployment_target == "iOS18"
    assert [one.name for one in decode.states] == ["k_cache", "v_cache"]
    assert decode.operators["linear"] == 17
    assert sum(one.bytes for one in found.components) == found.bytes
    assert found.lint is not None
    assert {one.rule.id for one in found.lint} == {"runtime-slice", "gather-on-cpu"}
    assert found.largest_float16 is not None
    assert max(found.largest_float16.values()) < 65504


def test_the_command_recognizes_a_bundle_and_names_sources(bundle):
    done = CliRunner().invoke(app, ["inspect", "--no-run", str(bundle)])
    assert done.exit_code == 0
    assert "function decode:" in done.stdout
    assert "note runtime-slice in decode, 8 times" in done.stdout
    assert "source: https://github.com/apple/coreai-torch/issues/6" in done.stdout
    assert "float16 was not run: --no-run" in done.stdout
