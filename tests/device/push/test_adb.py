"""What is pushed to a phone arrives as on a board: once, verified there, without a runner."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.push.push import push
from slmdeploy.errors import ConnectError
from tests.device.bundles import make_bundle
from tests.transport.adb.phone import Phone

MODEL = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(170_000))


@pytest.fixture(params=["protocol", "old"])
def phone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    features = {} if request.param == "protocol" else {"features": []}
    return Phone(tmp_path / "phone", monkeypatch, **features)


def test_a_bundle_arrives_without_a_runner_and_is_not_sent_again(phone: Phone, tmp_path: Path):
    bundle = make_bundle(tmp_path / "bundle", model=MODEL)
    with closing(connect(phone.device())) as transport:
        done = push(*bundle, None, transport)
        again = push(*bundle, None, transport)
    assert done.runner_dir is None
    assert Path(done.model_path).read_bytes() == MODEL
    assert {file.name for file in Path(done.bundle_dir).iterdir()} == {
        *("model.pte", "manifest.json", "LICENSE")
    }
    assert (again.sent_bytes, again.skipped_bytes) == (0, done.sent_bytes)


def test_only_changed_chunks_of_a_model_are_sent(phone: Phone, tmp_path: Path):
    changed = MODEL[:1_500_000] + b"new" + MODEL[1_500_003:]
    with closing(connect(phone.device())) as transport:
        push(*make_bundle(tmp_path / "a", model=MODEL), None, transport)
        done = push(*make_bundle(tmp_path / "b", model=changed), None, transport)
    assert Path(done.model_path).read_bytes() == changed
    assert done.sent_bytes < len(MODEL) // 2


@pytest.mark.parametrize("tool", ["tar", "dd"])
def test_a_phone_without_a_tool_gets_whole_files(phone: Phone, tmp_path: Path, tool: str):
    """``dd`` before Android 10 knows no fullblock; ``tar`` came late, too."""
    place = phone.folder / "tools" / tool
    if tool == "dd":
        real = place.resolve()
        place.unlink()
        place.write_text(
            '#!/bin/sh\ncase "$*" in *fullblock*) echo "dd: bad iflag" >&2; exit 1 ;; esac\n'
            f'exec "{real}" dd "$@"\n'
        )
        place.chmod(0o755)
    else:
        place.unlink()
    with closing(connect(phone.device())) as transport:
        done = push(*make_bundle(tmp_path / "bundle", model=MODEL), None, transport)
    assert Path(done.model_path).read_bytes() == MODEL


def test_a_push_that_is_cut_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    phone = Phone(tmp_path / "phone", monkeypatch)
    bundle = make_bundle(tmp_path / "bundle", model=MODEL)
    with closing(connect(phone.device())) as transport:
        phone.set(features=True, cut_after_bytes=3_500_000)
        with pytest.raises(ConnectError, match="the same command goes on"):
            push(*bundle, None, transport)
        for left in (phone.home / "incoming").rglob("*"):
            os.utime(left, (time.time() - 30, time.time() - 30))  # older than a moment
        phone.set(features=True)
        phone.attach()
        done = push(*bundle, None, transport)
    assert Path(done.model_path).read_bytes() == MODEL
    assert 0 < done.sent_bytes < len(MODEL)
