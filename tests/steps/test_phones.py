"""Phones get bundles, and nothing is run on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.bundle.folder import open_bundle
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError
from slmdeploy.progress import silent
from slmdeploy.steps.ready import push_to, ready
from slmdeploy.transport.local import LocalTransport
from tests.device.bundles import make_bundle

PHONE = Device("pixel", transport="adb", host="R5CT1234567")


@pytest.fixture
def bundle(tmp_path):
    make_bundle(tmp_path / "b")
    return open_bundle(tmp_path / "b")


def test_a_bundle_is_pushed_without_a_runner_and_only_once(bundle, tmp_path, monkeypatch):
    place = tmp_path / "phone"
    monkeypatch.setattr("slmdeploy.steps.ready.connect", lambda _: LocalTransport("pixel", place))
    done = push_to(bundle, PHONE, dry_run=False, progress=silent)
    assert done.sent_bytes > 0
    assert Path(done.bundle_dir, "model.pte").is_file()
    assert not (place / "runtimes").exists()
    assert push_to(bundle, PHONE, dry_run=False, progress=silent).sent_bytes == 0


def test_nothing_is_measured_on_a_phone_and_the_way_out_is_named(bundle):
    with (
        pytest.raises(DeviceError, match="no runner for Android") as caught,
        ready(bundle, PHONE, silent),
    ):
        pass
    assert "slmdeploy runs import" in str(caught.value.hint)
