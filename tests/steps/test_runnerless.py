"""What nothing of ours runs is refused at once, with the way out."""

from __future__ import annotations

import pytest

from slmdeploy.bundle.folder import Bundle
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError
from slmdeploy.progress import silent
from slmdeploy.steps.ready import push_to
from slmdeploy.steps.runnerless import refuse_apps, refuse_without_runner
from tests.bundle.bundles import manifest

LOCAL = Device(name="local", transport="local")


PACKAGE = {"file": "model.mlpackage", "runtime": "coreml"}
DELEGATE = {"backend": "coreml", "kernels": None}


@pytest.fixture(params=[PACKAGE, DELEGATE], ids=["package", "delegate"])
def package(request, tmp_path):
    made = manifest()
    artifact = made.artifact.model_copy(update=request.param)
    return Bundle(tmp_path, made.model_copy(update={"artifact": artifact, "runner": "none"}))


def test_what_core_ml_runs_runs_in_an_app_alone(package):
    with pytest.raises(DeviceError, match="Core ML runs in an app") as caught:
        refuse_without_runner(package, LOCAL)
    assert "slmdeploy runs import FILE" in str(caught.value.hint)
    assert "README.md" in str(caught.value.hint)


def test_it_is_not_pushed_anywhere(package):
    with pytest.raises(DeviceError, match="Core ML runs in an app"):
        push_to(package, LOCAL, progress=silent)


@pytest.mark.parametrize("target", ["mac-m-coreml", "iphone15-executorch-coreml"])
def test_a_whole_run_is_refused_before_anything_is_exported(target):
    with pytest.raises(DeviceError, match=rf"target '{target}'.*Core ML") as caught:
        refuse_apps(["local-executorch", target])
    assert f"runs import FILE --target {target}" in str(caught.value.hint)


def test_what_runs_elsewhere_and_what_is_not_known_is_left_to_others():
    refuse_apps(["local-executorch", "no-such-target"])
