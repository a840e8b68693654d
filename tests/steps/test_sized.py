"""Modules with dynamic shapes from a function or a program to a verified and measured bundle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.bundle.methods import golden_calls
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.errors import ExportError, UsageError
from slmdeploy.model.request import ModelRequest
from slmdeploy.progress import silent
from slmdeploy.runtime.protocol import InvokeRequest
from slmdeploy.steps.ready import ready
from tests.model import nets

NETS = "tests.model.nets"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "slmdeploy.toml").touch()
    return folder


def export(model, project, target="local-executorch", **named):
    (attempt,) = pipeline.export(model, [target], recipe="none", output=project, **named)
    assert attempt.error is None, attempt.error
    return open_bundle(attempt.value.bundle)


def refusal(model, target="local-executorch", *, dry_run=True):
    (attempt,) = pipeline.export(model, [target], recipe="none", dry_run=dry_run)
    assert isinstance(attempt.error, ExportError)
    return attempt.error


@pytest.fixture(scope="module")
def bundle(project):
    return export(f"{NETS}:pairs", project)


def invoke(bundle, *shapes):
    """Run ``forward`` on this computer with ids and a mask of these shapes."""
    inputs = (np.ones(shapes[0], np.int64), np.ones(shapes[-1], np.float32))
    with ready(bundle, LOCAL, silent) as on:
        return inputs, on.runner.invoke(InvokeRequest("forward", inputs))[0]


def test_the_golden_inputs_are_the_examples_and_both_ends_of_their_sizes(bundle):
    calls = golden_calls(bundle.manifest, bundle.golden())
    assert [name for name, _ in calls] == ["forward"] * 3
    assert [inputs[0].shape for _, inputs in calls] == [(2, 8), (1, 1), (4, 12)]
    assert bundle.golden()["output.source.4"].shape == (4, 12, 32)


def test_the_ladder_holds_all_three_against_the_source(bundle):
    rungs = {one.name: one for one in bundle.manifest.verification.rungs}
    assert (rungs["artifact"].status, rungs["artifact"].against) == ("pass", "exported")
    assert rungs["artifact"].metrics["max_abs_error"] <= 1e-4


def test_the_manifest_has_the_bounds_and_says_so(bundle):
    forward = bundle.manifest.artifact.methods["forward"]
    assert [one.shape_text for one in forward.inputs] == ["[1..4, 1..12]"] * 2
    assert bundle.manifest.artifact.notes == (
        "Sizes vary within the bounds of each input; memory is planned for the largest.",
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 12)])
def test_the_artifact_runs_at_any_size(bundle, shape):
    (ids, mask), outputs = invoke(bundle, shape)
    with torch.no_grad():
        wanted = nets.Pairs().eval()(torch.from_numpy(ids), torch.from_numpy(mask))
    for got, one in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(got, one.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([(2, 13)], "Axis 1 of input 'ids' is 13; length may be 1 to 12."),
        ([(2, 8), (2, 9)], "Axis 1 of input 'mask' is 9; by axis 1 of input 'ids' (8) it must"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_starts(bundle, shapes, said):
    with pytest.raises(UsageError) as caught:
        invoke(bundle, *shapes)
    assert caught.value.message.startswith(said)


@pytest.mark.slow
def test_verify_and_bench_take_the_bundle_at_the_examples_sizes(bundle, project):
    (verified,) = pipeline.verify(bundle.path)
    assert verified.value.broken is None
    store = str(project / "records.db")
    (measured,) = pipeline.bench(bundle.path, devices=["local"], runs=1, store=store)
    assert measured.value.workload.input_shapes == ((2, 8), (2, 8))
    assert measured.value.metrics["latency_p50_ms"].value > 0


@pytest.mark.slow
def test_hints_have_the_bounds_and_ties_that_torch_finds(project):
    made = export(f"{NETS}:hinted", project)
    forward = made.manifest.artifact.methods["forward"]
    assert [one.shape_text for one in forward.inputs] == ["[1..4, 1..12]"] * 2
    with pytest.raises(
        UsageError, match=r"mask' is 9; by axis 1 of input 'ids' \(8\) it must be 8"
    ):
        invoke(made, (2, 8), (2, 9))


@pytest.mark.slow
def test_a_program_keeps_the_sizes_that_it_was_exported_with(project):
    module, inputs, dynamic = nets.pairs()
    program = torch.export.export(
        module.eval(), tuple(inputs.values()), dynamic_shapes=tuple(dynamic.values())
    )
    torch.export.save(program, project / "pairs.pt2")
    asked = ModelRequest(str(project / "pairs.pt2"), allow_pickle=True)
    made = export(asked, project)
    forward = made.manifest.artifact.methods["forward"]
    assert [one.shape_text for one in forward.inputs] == ["[1..4, 1..12]"] * 2
    assert [one.shape for one in invoke(made, (3, 5))[1]] == [(3, 5, 32), (3, 32)]


@pytest.fixture
def endless(tmp_path):
    """A program whose length has no bound."""
    length = {1: torch.export.Dim("length")}
    program = torch.export.export(nets.Words().eval(), (nets.IDS,), dynamic_shapes={"ids": length})
    torch.export.save(program, tmp_path / "endless.pt2")
    return tmp_path / "endless.pt2"


def test_a_size_without_a_bound_is_refused_before_the_work():
    error = refusal(f"{NETS}:unbounded")
    assert error.message.startswith("Axis 1 of input 'ids' has no largest size, and")
    assert error.hint == "Give max=, as in Dim('length', max=1024) or Dim.DYNAMIC(max=1024)."


def test_a_program_without_a_bound_is_refused_or_has_the_shape_of_input(endless, tmp_path):
    error = refusal(ModelRequest(str(endless), allow_pickle=True))
    assert "--input SHAPE" in error.hint
    asked = ModelRequest(str(endless), allow_pickle=True, inputs=("1x8:int64",))
    made = export(asked, tmp_path, verify=False)
    assert made.manifest.artifact.methods["forward"].inputs[0].shape_text == "[1, 8]"
    assert "shapes are fixed to those of --input" in made.manifest.artifact.notes[-1]


def test_a_module_that_fails_at_an_end_of_its_sizes_is_told():
    error = refusal(f"{NETS}:narrow", dry_run=False)
    assert "narrow fails on inputs of [1, 1], which its dynamic shapes allow" in error.message
    assert error.hint == "Give the Dim another min or max."


@pytest.mark.slow
@pytest.mark.parametrize("target", ["local-litert", "iphone15-coreml"])
def test_other_formats_keep_the_examples_shapes_and_say_so_by_name(project, target):
    told = []
    made = export(f"{NETS}:varying", project, target, verify=False, progress=told.append)
    (method,) = made.manifest.artifact.methods.values()
    assert [one.shape_text for one in method.inputs] == ["[1, 8]"]
    runtime = target.rpartition("-")[2]
    said = f"artifacts for {runtime} have the fixed shapes of the example inputs."
    assert any(said in note for note in made.manifest.artifact.notes)
    assert any(said in (step.note or "") for step in told)
