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


@pytest.fixture
def package(tmp_path):
    made = manifest()
    artifact = made.artifact.model_copy(update={"file": "model.mlpackage", "runtime": "coreml"})
    return Bundle(tmp_path, made.model_copy(update={"artifact": artifact, "runner": "none"}))


def test_a_core_ml_package_runs_in_an_app_alone(package):
    with pytest.raises(DeviceError, match="Core ML runs in an app") as caught:
        refuse_without_runner(package, LOCAL)
    assert "slmdeploy runs import FILE" in str(caught.value.hint)
    assert "README.md" in str(caught.value.hint)


def test_it_is_not_pushed_anywhere(package):
    with pytest.raises(DeviceError, match="Core ML runs in an app"):
        push_to(package, LOCAL, progress=silent)


def test_a_whole_run_is_refused_before_anything_is_exported():
    with pytest.raises(DeviceError, match=r"target 'mac-m-coreml'.*Core ML") as caught:
        refuse_apps(["local-executorch", "mac-m-coreml"])
    assert "runs import FILE --target mac-m-coreml" in str(caught.value.hint)
    refuse_apps(["local-executorch", "no-such-target"])
