"""Bundles of other runtimes are inspected by what their manifest says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from slmdeploy.bundle.folder import finish
from slmdeploy.bundle.manifest import ByteRow
from slmdeploy.cli.app import app
from slmdeploy.errors import BundleError
from slmdeploy.export.artifact import MethodInfo, TensorInfo
from slmdeploy.progress import silent
from slmdeploy.steps.inspecting import inspect_bundle
from tests.bundle.bundles import ARTIFACT, manifest, stage

METHOD = MethodInfo(
    inputs=(TensorInfo(name="ids", shape=(1, 1), dtype="int64"),),
    outputs=(TensorInfo(name="logits", shape=(1, 9), dtype="float32"),),
    delegated_ops=12,
    total_ops=15,
    delegates=2,
    outside={"llama::update_cache": 2, "aten::embedding": 1},
    planned_bytes=1,
)


@pytest.fixture
def bundle(tmp_path):
    described = manifest()
    artifact = described.artifact.model_copy(
        update={
            "methods": {"decode": METHOD},
            "bytes_by_component": (ByteRow(component="weights", bytes=len(ARTIFACT)),),
        }
    )
    described = described.model_copy(update={"artifact": artifact})
    return finish(described, stage(tmp_path / "staging"), tmp_path / "final").path


def test_operators_bytes_and_delegation_are_those_of_the_manifest(bundle):
    found = inspect_bundle(bundle, run=True, progress=silent)
    (decode,) = found.functions
    assert (decode.name, decode.total_ops, decode.delegated_ops) == ("decode", 15, 12)
    assert decode.operators == {"llama::update_cache": 2, "aten::embedding": 1}
    assert found.components == (ByteRow(component="weights", bytes=len(ARTIFACT)),)


def test_what_is_only_known_of_core_ml_is_none_with_the_reason(bundle):
    found = inspect_bundle(bundle, run=True, progress=silent)
    assert (found.lint, found.largest_float16, found.deployment_target) == (None, None, None)
    assert found.not_run == "artifacts of executorch are not evaluated"


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError):
        inspect_bundle(tmp_path, run=True, progress=silent)


def test_the_command_shows_it_to_people(bundle):
    out = CliRunner().invoke(app, ["inspect", str(bundle)]).stdout
    assert "function decode: 15 operators, 12 delegated" in out
    assert "operators llama::update_cache 2, aten::embedding 1" in out
    assert "lint: only for Core ML" in out


def test_the_command_gives_one_document_with_a_schema(bundle):
    document = json.loads(CliRunner().invoke(app, ["inspect", "--json", str(bundle)]).stdout)
    assert document["schema"] == "slmdeploy/inspect-bundle/1"
    assert document["functions"][0]["delegated_ops"] == 12
    assert document["lint"] is None
