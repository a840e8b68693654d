"""The care of deployments: listed, rolled back, removed, and what nothing uses collected."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push.deployments import (
    list_deployments,
    parse_listing,
    remove_deployment,
    roll_back,
)
from slmdeploy.device.push.garbage import collect_garbage
from slmdeploy.device.push.push import Deployment, push
from slmdeploy.errors import ConnectError, UnknownNameError, UsageError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Transport
from slmdeploy.transport.fake import FakeTransport
from tests.device.bundles import make_bundle, make_runner

NAME = "tiny--rpi5"


@pytest.fixture(params=["fake", "ssh"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "fake":
        chosen: Transport = FakeTransport(tmp_path / "a board")
    else:
        chosen = connect(request.getfixturevalue("own_sshd").device())
    with closing(chosen):
        yield chosen


@pytest.fixture
def runner(tmp_path: Path) -> RunnerFiles:
    return make_runner(tmp_path / "runner")


@pytest.fixture
def made(tmp_path: Path) -> list[tuple[Path, Manifest]]:
    """Three versions of a bundle."""
    return [make_bundle(tmp_path / n, model=n.encode() * 200_000) for n in ("one", "two", "three")]


@pytest.fixture
def versions(
    device: Transport, made: list[tuple[Path, Manifest]], runner: RunnerFiles
) -> list[Deployment]:
    """All three on the device, the last one current."""
    return [push(*bundle, runner, device) for bundle in made]


def digests(device: Transport) -> list[str]:
    return [version.digest for version in list_deployments(device).versions]


def blobs(device: Transport) -> set[str]:
    return {path.name for path in Path(device.home(), "blobs").iterdir() if "." not in path.name}


def test_versions_are_listed_the_current_one_first(device: Transport, versions: list[Deployment]):
    there = list_deployments(device).versions
    assert [version.digest for version in there] == [v.digest[:12] for v in reversed(versions)]
    assert [version.current for version in there] == [True, False, False]
    assert {version.name for version in there} == {NAME}
    assert there[0].bytes > 1_000_000
    assert there[0].pushed is not None
    assert there[0].runtime == versions[0].runner_dir.removeprefix(f"{device.home()}/")


def test_a_board_without_anything_has_no_deployments(tmp_path: Path):
    assert list_deployments(FakeTransport(tmp_path)).versions == ()


def test_rolling_back_goes_to_the_one_before_and_again_returns(
    device: Transport, versions: list[Deployment]
):
    first = roll_back(device, NAME)
    assert (first.before, first.now) == (versions[2].digest[:12], versions[1].digest[:12])
    assert digests(device)[0] == versions[1].digest[:12]
    assert roll_back(device, NAME).now == versions[2].digest[:12]


def test_rolling_back_keeps_what_is_known_of_a_version(
    device: Transport, versions: list[Deployment]
):
    before = {v.digest: (v.pushed, v.runtime) for v in list_deployments(device).versions}
    roll_back(device, NAME, versions[0].digest[:5])
    there = list_deployments(device).versions
    assert there[0].digest == versions[0].digest[:12]
    assert {v.digest: (v.pushed, v.runtime) for v in there} == before


def test_a_dry_rollback_says_and_changes_nothing(device: Transport, versions: list[Deployment]):
    assert roll_back(device, NAME, dry_run=True).now == versions[1].digest[:12]
    assert digests(device)[0] == versions[2].digest[:12]


def test_pushing_an_older_version_again_makes_it_current(
    device: Transport,
    versions: list[Deployment],
    made: list[tuple[Path, Manifest]],
    runner: RunnerFiles,
):
    assert push(*made[0], runner, device).sent_bytes == 0
    assert digests(device)[0] == versions[0].digest[:12]


def test_a_single_version_has_nothing_to_go_back_to(
    tmp_path: Path, made: list[tuple[Path, Manifest]], runner: RunnerFiles
):
    fake = FakeTransport(tmp_path / "board")
    push(*made[0], runner, fake)
    with pytest.raises(UsageError, match="one version"):
        roll_back(fake, NAME)


def test_unknown_names_list_what_is_there(device: Transport, versions: list[Deployment]):
    with pytest.raises(UnknownNameError, match="Unknown deployment on") as caught:
        roll_back(device, "tiny--rpi4")
    assert NAME in str(caught.value)
    with pytest.raises(UnknownNameError, match="Unknown version of") as caught:
        remove_deployment(device, NAME, "ffff")
    assert versions[0].digest[:12] in str(caught.value)


def test_removing_a_version_takes_only_what_it_alone_had(
    device: Transport, versions: list[Deployment], made: list[tuple[Path, Manifest]]
):
    removed = remove_deployment(device, NAME, versions[0].digest[:12])
    gone = {Path(path).name for path, _ in removed.paths if path.startswith("blobs/")}
    assert made[0][1].artifact.sha256 in gone
    assert made[0][1].files["LICENSE"].sha256 not in gone
    assert not gone & blobs(device)
    assert removed.bytes > 600_000
    assert digests(device) == [versions[2].digest[:12], versions[1].digest[:12]]


def test_removing_the_current_version_makes_the_one_before_current(
    device: Transport, versions: list[Deployment]
):
    remove_deployment(device, NAME, versions[2].digest[:12])
    there = list_deployments(device).versions
    assert there[0].digest == versions[1].digest[:12]
    assert there[0].current


def test_removing_all_versions_leaves_no_folder(device: Transport, versions: list[Deployment]):
    remove_deployment(device, NAME)
    assert digests(device) == []
    assert not (Path(device.home()) / "bundles" / NAME).exists()


def test_a_dry_removal_says_what_a_real_one_does(device: Transport, versions: list[Deployment]):
    dry = remove_deployment(device, NAME, versions[0].digest[:12], dry_run=True)
    assert len(digests(device)) == 3
    real = remove_deployment(device, NAME, versions[0].digest[:12])
    assert (dry.paths, dry.bytes) == (real.paths, real.bytes)


def test_what_runs_is_not_removed(
    tmp_path: Path, made: list[tuple[Path, Manifest]], runner: RunnerFiles
):
    fake = FakeTransport(tmp_path / "a board")
    done = push(*made[0], runner, fake)
    argv = ["tail", "-f", done.model_path]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        (version,) = list_deployments(fake).versions
        assert version.running
        with pytest.raises(UsageError, match=r"tiny--rpi5@\w+ runs on fake"):
            remove_deployment(fake, NAME)
    finally:
        process.kill()
        process.wait()
    remove_deployment(fake, NAME)


def test_garbage_is_old_versions_and_what_only_they_used(
    device: Transport,
    versions: list[Deployment],
    made: list[tuple[Path, Manifest]],
    tmp_path: Path,
):
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "r").write_bytes(b"#!/bin/sh\n" + os.urandom(1000))
    newer = RunnerFiles({"slmd-runner": tmp_path / "newer" / "r"}, "slmd-runner")
    push(*made[1], newer, device)
    push(*made[2], newer, device)
    dry = collect_garbage(device, dry_run=True)
    assert len(digests(device)) == 3
    real = collect_garbage(device)
    assert (dry.paths, dry.bytes) == (real.paths, real.bytes)
    paths = {path for path, _ in real.paths}
    assert f"bundles/{NAME}/{versions[0].digest[:12]}" in paths
    assert versions[0].runner_dir.removeprefix(f"{device.home()}/") in paths
    assert f"blobs/{made[0][1].artifact.sha256}" in paths
    assert digests(device) == [versions[2].digest[:12], versions[1].digest[:12]]
    assert collect_garbage(device).paths == ()


def test_after_garbage_is_collected_a_push_sends_nothing(
    device: Transport,
    versions: list[Deployment],
    made: list[tuple[Path, Manifest]],
    runner: RunnerFiles,
):
    collect_garbage(device)
    assert push(*made[2], runner, device).sent_bytes == 0


def test_remains_of_a_cut_push_are_garbage_when_they_are_a_minute_old(
    tmp_path: Path, runner: RunnerFiles
):
    fake = FakeTransport(tmp_path / "board")
    fake.faults.cut_put_after_bytes = 400_000
    with pytest.raises(ConnectError):
        push(*make_bundle(tmp_path / "b", model=os.urandom(500_000)), runner, fake)
    assert collect_garbage(fake).paths == ()
    for path in (Path(fake.home()) / "incoming").rglob("*"):
        os.utime(path, (1_000_000, 1_000_000))
    (removed,) = collect_garbage(fake).paths
    assert removed[0].startswith("incoming/")
    assert removed[1] > 300_000
    assert not list((Path(fake.home()) / "incoming").iterdir())


def test_a_half_folder_is_garbage_unless_its_push_goes_on(tmp_path: Path):
    fake = FakeTransport(tmp_path / "board")
    home = Path(fake.home())
    for tag in ("0123456789ab", "ba9876543210"):
        (home / f"bundles/tiny/aaaaaaaaaaaa.part-{tag}").mkdir(parents=True)
    (home / "incoming/ba9876543210").mkdir(parents=True)
    (home / "incoming/ba9876543210/rows").write_text("just now")
    assert [path for path, _ in collect_garbage(fake).paths] == [
        "bundles/tiny/aaaaaaaaaaaa.part-0123456789ab"
    ]


def test_a_name_with_two_points_is_removed_as_any_other(
    device: Transport, runner: RunnerFiles, tmp_path: Path
):
    done = push(*make_bundle(tmp_path / "b", name="tiny..v2"), runner, device)
    remove_deployment(device, "tiny..v2")
    assert not Path(done.bundle_dir).exists()


@given(st.text(max_size=400))
def test_whatever_a_board_says_of_other_things_is_passed_over(text: str):
    noise = "\n".join(f"noise {line}" for line in text.splitlines())
    assert parse_listing(noise).versions == ()
