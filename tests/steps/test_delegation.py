"""What the manifest says of delegates where the runtime decides it while it loads."""

from __future__ import annotations

import pytest
import torch

from slmdeploy.bundle.folder import Bundle
from slmdeploy.export.artifact import MethodInfo
from slmdeploy.export.litert.generic import convert_module
from slmdeploy.progress import silent
from slmdeploy.steps.delegation import measured_delegation, unmeasured
from tests.device.bundles import make_bundle
from tests.export.litert.modules import Two


@pytest.fixture
def bundle_of(tmp_path):
    """Makes a bundle: its artifact's content, runtime, and operators in delegates."""

    def make(content: bytes, *, delegated: int | None = None, runtime: str = "litert") -> Bundle:
        folder, manifest = make_bundle(tmp_path / "tiny--local-litert", model=content)
        method = MethodInfo(
            inputs=(),
            outputs=(),
            delegated_ops=delegated,
            total_ops=1,
            delegates=None,
            planned_bytes=None,
        )
        about = {"runtime": runtime, "methods": {"decode": method}}
        artifact = manifest.artifact.model_copy(update=about)
        return Bundle(folder, manifest.model_copy(update={"artifact": artifact}))

    return make


def test_the_runtime_is_asked_on_this_computer(bundle_of, tmp_path):
    x, path = torch.ones(2, 3), tmp_path / "two.tflite"
    convert_module(Two(), (x,), path, input_names=("x",), output_names=("sum", "product"))
    found = measured_delegation(bundle_of(path.read_bytes()), silent)
    assert found is not None
    assert found.reason is None
    assert (found.method, found.delegate) == ("forward", "XNNPACK")
    assert (found.delegated_ops, found.total_ops, found.delegates) == (2, 2, 1)
    assert found.arch
    assert found.runtime_version


def test_an_artifact_that_does_not_load_has_a_reason_in_the_place_of_numbers(bundle_of):
    found = measured_delegation(bundle_of(b"no model"), silent)
    assert found is not None
    assert found.delegated_ops is found.arch is None
    assert "did not load on this computer" in found.reason


def test_what_was_not_run_has_a_reason(bundle_of):
    assert unmeasured(bundle_of(b""), "--no-verify").reason == "--no-verify"


def test_nothing_is_measured_where_the_exporter_knows(bundle_of):
    bundle = bundle_of(b"", delegated=1, runtime="executorch")
    assert measured_delegation(bundle, silent) is None
    assert unmeasured(bundle, "--no-verify") is None
