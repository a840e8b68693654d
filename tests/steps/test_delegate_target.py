"""The target of ExecuTorch's Core ML delegate, from the command to what is in the bundle.

The bundles are real exports of the trained fixtures; the control changes one thing in a copy.
"""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from slmdeploy import pipeline
from slmdeploy.bundle.folder import Bundle, open_bundle
from slmdeploy.cli.app import app
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.export.executorch.delegated import read_delegated
from slmdeploy.export.mil.package import open_package
from slmdeploy.progress import silent
from slmdeploy.runtime.delegated import DelegateEngine
from slmdeploy.steps.evaluated import evaluated
from slmdeploy.steps.importing import import_file
from slmdeploy.steps.inspecting import inspect_bundle
from slmdeploy.steps.ladder import climb_bundle, stored_rungs
from slmdeploy.steps.verifying import verify_bundle
from tests.steps.foretold import same_reason

TARGET = "iphone15-executorch-coreml"


def exported(model, tmp_path_factory, **options):
    output = tmp_path_factory.mktemp("bundles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        (made,) = pipeline.export(str(model), [TARGET], output=output, **options)
    assert made.value is not None, made.error
    return made.value.bundle


@pytest.fixture(scope="module")
def bundle(tiny_kjv, tmp_path_factory):
    return exported(tiny_kjv, tmp_path_factory, context=64)


@pytest.fixture(scope="module")
def intents(tiny_intents, tmp_path_factory):
    return exported(tiny_intents, tmp_path_factory)


def climbed(bundle: Bundle):
    golden = bundle.golden()
    below = stored_rungs(golden, {}, generic=False)
    results = climb_bundle(bundle, below, golden, host=LOCAL, progress=silent)
    return {result.name: result for result in results}


def test_a_recipe_that_the_delegate_cannot_take_is_refused_before_any_work(tiny_kjv, tmp_path):
    argv = ["export", str(tiny_kjv), "--target", TARGET, "--output", str(tmp_path)]
    done = CliRunner().invoke(app, [*argv, "--recipe", "8da4w"])
    assert done.exit_code == 3
    assert "use the recipe 'w4-g32'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_rungs_of_a_package_hold_for_the_one_within(bundle):
    rungs = {rung.name: rung for rung in verify_bundle(bundle, None, silent).rungs}
    assert rungs["float32"].status == rungs["float16"].status == "pass"
    assert rungs["float32"].against == "exported"
    assert rungs["float32"].metrics["max_abs_error"] <= 1e-4
    assert rungs["float16"].metrics["top1_agreement"] == 1.0
    assert rungs["float16"].metrics["max_abs_error"] > rungs["float32"].metrics["max_abs_error"]


@pytest.mark.slow
def test_flipped_bits_of_a_weight_in_the_delegate_break_the_float32_rung(bundle, tmp_path):
    """The highest bit of 100 integers of one matrix, where the file has them."""
    copied = open_bundle(shutil.copytree(bundle, tmp_path / bundle.name))
    inner = read_delegated(copied.artifact_path, tmp_path)
    package = open_package(inner.package)
    (constant,) = next(
        operation.inputs["data"]
        for operation in package.function("decode").operations
        if "layers_0_down_weight" in operation.outputs[0][0]
    )
    kept = package.read(constant.value, constant.type).tobytes()
    data = bytearray(copied.artifact_path.read_bytes())
    start = data.find(kept)
    assert data.count(kept) == 1
    for index in range(100):
        data[start + index] ^= 0x40
    copied.artifact_path.write_bytes(data)
    rungs = climbed(copied)
    assert rungs["float32"].status == "fail"
    assert rungs["float16"].status == "absent"


@pytest.mark.slow
def test_the_bundle_is_for_an_app(bundle):
    manifest = open_bundle(bundle).manifest
    assert (manifest.artifact.file, manifest.artifact.backend) == ("model.pte", "coreml")
    assert manifest.runner == "none"
    assert manifest.recipe.floats == "fp16"
    assert manifest.delegation is None  # the methods say it
    assert "module.load" in (bundle / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_of_memory_on_the_device_it_says_what_inspect_said_before(bundle, tiny_kjv):
    assert same_reason(tiny_kjv, open_bundle(bundle).manifest)


@pytest.mark.slow
@pytest.mark.parametrize("argv", [["push"], ["bench"], ["generate", "In the beginning"]])
def test_nothing_of_ours_runs_it_and_the_way_in_is_named(bundle, argv):
    command, *more = argv
    done = CliRunner().invoke(app, [command, str(bundle), *more, "--device", "local"])
    assert done.exit_code == 4
    assert "Core ML runs in an app" in done.stderr
    assert "slmdeploy runs import FILE" in done.stderr


@pytest.mark.slow
def test_inspect_prints_what_is_in_the_inner_package(bundle):
    done = CliRunner().invoke(app, ["inspect", "--no-run", str(bundle)])
    assert done.exit_code == 0, done.stderr
    assert "function decode:" in done.stdout
    assert "scaled_dot_product_attention" in done.stdout
    assert "note gather-on-cpu in decode" in done.stdout
    found = inspect_bundle(bundle, run=True, progress=silent)
    decode = {one.name: one for one in found.functions}["decode"]
    assert found.deployment_target == "iOS18"
    assert decode.states == ()
    assert decode.operators["linear"] == 17
    assert decode.compressed["constexpr_blockwise_shift_scale"] == 17
    assert decode.delegated_ops == decode.total_ops
    assert found.largest_float16 is not None
    assert max(found.largest_float16.values()) < 65504
    assert sum(one.bytes for one in found.components) == found.bytes


@pytest.mark.slow
def test_an_encoder_goes_the_same_way(intents):
    rungs = {rung.name: rung for rung in verify_bundle(intents, None, silent).rungs}
    assert rungs["float32"].status == rungs["float16"].status == "pass"
    manifest = open_bundle(intents).manifest
    assert list(manifest.artifact.methods) == ["forward"]
    assert manifest.artifact.methods["forward"].inputs[0].dtype == "int32"
    found = inspect_bundle(intents, run=False, progress=silent)
    assert found.functions[0].operators["linear"] > 0


@pytest.mark.slow
def test_on_a_mac_core_ml_takes_the_float16_rung_of_the_inner_package(bundle, monkeypatch):
    made = []

    class Model:
        def start(self): ...

    monkeypatch.setattr(
        "slmdeploy.steps.evaluated.PredictEngine", lambda path: made.append(path) or Model()
    )
    ways = evaluated(open_bundle(bundle), on_mac=True)
    runner = ways[1].runner()
    assert isinstance(runner._engine, DelegateEngine)
    assert [path.suffix for path in made] == [".mlpackage"]


@pytest.mark.slow
def test_what_executorchs_own_runner_measured_on_the_phone_comes_in(bundle, repo_root):
    log = repo_root / "fixtures/imports/executorch-llm-runner.log"
    record = import_file(log, bundle=bundle, device="my-phone")
    assert (record.target, record.device) == (TARGET, "my-phone")
    assert record.imported is not None
