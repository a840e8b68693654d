"""Push: only what is missing, checked on the device, the old bundle or the new one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push.push import Deployment, push
from slmdeploy.errors import ConnectError, TransferError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Result, Transport
from slmdeploy.transport.fake import Command, FakeTransport
from slmdeploy.transport.local import LocalTransport
from tests.boards.sshd import SshdBoard
from tests.device.bundles import CONTENT, make_bundle, make_runner

Bundle = tuple[Path, Manifest]
USUAL = (
    "sh mkdir find rm rmdir mv ln cp cat wc sed df sha256sum openssl cmp sync dd tee tar awk stat "
    "chmod ls"
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def runner(tmp_path: Path) -> RunnerFiles:
    return make_runner(tmp_path / "runner")


@pytest.fixture(params=["local", "fake", "ssh"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "local":
        chosen: Transport = LocalTransport(root=tmp_path / "a home")
    elif request.param == "fake":
        chosen = FakeTransport(tmp_path / "fake")
    else:
        chosen = connect(request.getfixturevalue("own_sshd").device())
    with closing(chosen):
        yield chosen


@pytest.fixture
def fake(tmp_path: Path) -> FakeTransport:
    return FakeTransport(tmp_path / "fake")


def listing(device: Transport, folder: str = "") -> list[str]:
    """Files below a folder of the device, relative to it."""
    script = 'cd "$1" && find . -type f | sort'
    found = device.check(["sh", "-c", script, "sh", f"{device.home()}/{folder}"]).stdout
    return [line.removeprefix("./") for line in found.splitlines()]


def whole(device: Transport, deployment: Deployment) -> bool:
    said = device.run(["cat", deployment.model_path])
    return said.code == 0 and said.stdout.encode() == CONTENT["model.pte"]


def test_a_bundle_arrives_with_its_runner(device: Transport, bundle: Bundle, runner: RunnerFiles):
    done = push(*bundle, runner, device)
    assert whole(device, done)
    assert done.model_path == f"{done.bundle_dir}/model.pte"
    assert device.check([f"{done.runner_dir}/slmd-runner"]).stdout == "started\n"
    assert done.device == device.name
    assert done.skipped_bytes == 0


def test_golden_vectors_and_tokenizer_stay_here(
    device: Transport, bundle: Bundle, runner: RunnerFiles
):
    done = push(*bundle, runner, device)
    place = done.bundle_dir.removeprefix(f"{device.home()}/")
    assert listing(device, place) == ["LICENSE", "manifest.json", "model.pte"]


def test_a_second_push_sends_nothing(device: Transport, bundle: Bundle, runner: RunnerFiles):
    first = push(*bundle, runner, device)
    seen: list[tuple[int, int]] = []
    second = push(*bundle, runner, device, progress=lambda *step: seen.append(step))
    assert (second.sent_bytes, second.skipped_bytes) == (0, first.sent_bytes)
    assert seen == []
    assert (second.bundle_dir, second.runner_dir) == (first.bundle_dir, first.runner_dir)


def test_nothing_is_left_over(device: Transport, bundle: Bundle, runner: RunnerFiles):
    done = push(*bundle, runner, device)
    rest = [f for f in listing(device) if not f.startswith(("blobs/", "bundles/", "runtimes/"))]
    assert rest == []
    blobs = [f for f in listing(device, "blobs") if "." not in f]
    assert len(blobs) == len(done.files)
    assert not [f for f in listing(device) if ".part-" in f]


def test_a_blob_and_its_file_are_one_and_take_the_room_of_one(
    device: Transport, bundle: Bundle, runner: RunnerFiles
):
    done = push(*bundle, runner, device)
    links = device.check(["stat", "-c", "%h", done.model_path]).stdout.strip()
    assert int(links) >= 2


def test_a_changed_bundle_sends_what_changed_and_leaves_the_old_one(
    device: Transport, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    old = push(*bundle, runner, device)
    new = push(*make_bundle(tmp_path / "new", model=b"new" * 1000), runner, device)
    sent = {Path(file.path).name for file in new.files if file.sent}
    assert sent == {"model.pte", "manifest.json"}
    assert new.bundle_dir != old.bundle_dir
    assert whole(device, old)


def test_a_dry_run_lists_and_changes_nothing(
    device: Transport, bundle: Bundle, runner: RunnerFiles
):
    dry = push(*bundle, runner, device, dry_run=True)
    assert dry.dry_run
    assert device.run(["ls", device.home()]).code != 0
    real = push(*bundle, runner, device)
    assert dry.files == real.files
    assert dry.sent_bytes == real.sent_bytes
    assert push(*bundle, runner, device, dry_run=True).sent_bytes == 0


def test_a_file_that_was_tampered_with_is_sent_again(
    device: Transport, bundle: Bundle, runner: RunnerFiles
):
    done = push(*bundle, runner, device)
    script = 'printf X | dd of="$1" bs=1 seek=5 conv=notrunc 2>/dev/null'
    device.check(["sh", "-c", script, "sh", done.model_path])
    assert not whole(device, done)
    again = push(*bundle, runner, device)
    assert [Path(file.path).name for file in again.files if file.sent] == ["model.pte"]
    assert whole(device, again)
    assert not [f for f in listing(device) if ".part-" in f]


def test_a_file_that_was_removed_from_the_folder_is_put_back_without_sending(
    device: Transport, bundle: Bundle, runner: RunnerFiles
):
    done = push(*bundle, runner, device)
    device.check(["rm", done.model_path])
    assert push(*bundle, runner, device).sent_bytes == 0
    assert whole(device, done)


def test_progress_counts_all_files_together(device: Transport, bundle: Bundle, runner: RunnerFiles):
    seen: list[tuple[int, int]] = []
    done = push(*bundle, runner, device, progress=lambda *step: seen.append(step))
    assert seen[-1] == (done.sent_bytes, done.sent_bytes)
    assert seen == sorted(seen)


def test_a_full_disk_is_seen_before_the_first_byte(
    tmp_path: Path, bundle: Bundle, runner: RunnerFiles
):
    def nearly_full(command: Command) -> Result | None:
        row = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/d 100 90 10 90% /\n"
        said = "".join(f"df {line}\n" for line in row.splitlines())
        return Result(0, said, "") if "df -Pk" in command.argv[2] else None

    fake = FakeTransport(tmp_path / "fake", handler=nearly_full)
    with pytest.raises(TransferError, match=r"has 10240 bytes free .* bytes would be written"):
        push(*bundle, runner, fake)
    assert fake.sent_bytes == 0


def test_a_disk_whose_room_is_unknown_is_tried(tmp_path: Path, bundle: Bundle, runner: RunnerFiles):
    fake = without(tmp_path, "df")
    assert whole(fake, push(*bundle, runner, fake))


@pytest.mark.parametrize("cut", [0, 1, 1000, 100_000])
def test_a_cut_in_the_middle_leaves_the_old_bundle_and_the_next_push_completes(
    fake: FakeTransport, bundle: Bundle, runner: RunnerFiles, tmp_path: Path, cut: int
):
    old = push(*bundle, runner, fake)
    new = make_bundle(tmp_path / "new", model=os.urandom(200_000))
    fake.faults.cut_put_after_bytes = cut
    with pytest.raises(ConnectError):
        push(*new, runner, fake)
    assert whole(fake, old)
    version = f"tiny--rpi5/{old.digest[:12]}"
    files = [f"{version}/{name}" for name in ("LICENSE", "manifest.json", "model.pte")]
    assert listing(fake, "bundles") == sorted([*files, "tiny--rpi5/current"])
    done = push(*new, runner, fake)
    assert Path(done.model_path).read_bytes() == (new[0] / "model.pte").read_bytes()


@pytest.mark.parametrize("step", range(3))
def test_a_cut_between_any_two_steps_leaves_whole_folders_only(
    tmp_path: Path, bundle: Bundle, runner: RunnerFiles, step: int
):
    """Survey, receive, finish: the device goes away instead of one of them."""
    scripts = 0

    def away_at_step(command: Command) -> Result | None:
        nonlocal scripts
        scripts += 1
        if scripts == step + 1:
            raise ConnectError("The cable was pulled.")
        return None

    fake = FakeTransport(tmp_path / "fake", handler=away_at_step)
    with pytest.raises(ConnectError):
        push(*bundle, runner, fake)
    assert not list((Path(fake.home()) / "bundles").glob("*/*"))
    assert whole(fake, push(*bundle, runner, fake))


def test_a_board_without_a_tool_to_hash_with_is_read_back(
    tmp_path: Path, bundle: Bundle, runner: RunnerFiles
):
    fake = without(tmp_path, "sha256sum", "openssl")
    assert whole(fake, push(*bundle, runner, fake))
    assert push(*bundle, runner, fake).sent_bytes == 0


def test_a_board_with_openssl_only(tmp_path: Path, bundle: Bundle, runner: RunnerFiles):
    fake = without(tmp_path, "sha256sum")
    assert whole(fake, push(*bundle, runner, fake))
    assert push(*bundle, runner, fake).sent_bytes == 0


def test_what_a_cut_push_left_is_removed_a_day_later(
    fake: FakeTransport, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    fake.faults.cut_put_after_bytes = 400_000
    other = make_bundle(tmp_path / "other", model=os.urandom(500_000))
    with pytest.raises(ConnectError):
        push(*other, runner, fake)
    left = list((Path(fake.home()) / "incoming").rglob(other[1].artifact.sha256))
    push(*bundle, runner, fake)
    assert left
    assert all(file.exists() for file in left)  # somebody may still want to go on with it
    two_days_ago = left[0].stat().st_mtime - 2 * 24 * 3600
    for file in left:
        os.utime(file, (two_days_ago, two_days_ago))
    push(*bundle, runner, fake)
    assert not any(file.exists() for file in left)


def test_a_home_that_cannot_be_written_to_says_so(
    tmp_path: Path, bundle: Bundle, runner: RunnerFiles
):
    fake = FakeTransport(tmp_path / "fake")
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "home").write_text("a file where a folder should be")
    with pytest.raises(TransferError, match="cannot be written to") as caught:
        push(*bundle, runner, fake)
    assert caught.value.exit_code == 4


def test_a_server_killed_in_the_middle_of_a_push(
    own_sshd: SshdBoard, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    """Over a real connection: the old bundle stays, and the same command completes."""
    with closing(connect(own_sshd.device())) as ssh:
        old = push(*bundle, runner, ssh)
        new = make_bundle(tmp_path / "new", model=os.urandom(20_000_000))

        def kill_halfway(done: int, total: int) -> None:
            if done > total // 2:
                own_sshd.kill()

        with pytest.raises(ConnectError):
            push(*new, runner, ssh, progress=kill_halfway)
        own_sshd.start()
        assert whole(ssh, old)
        done = push(*new, runner, ssh)
        assert Path(done.model_path).read_bytes() == (new[0] / "model.pte").read_bytes()


def without(tmp_path: Path, *tools: str) -> FakeTransport:
    """A device that lacks some tools: its PATH leads to links to all the others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in set(USUAL.split()) - set(tools):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)

    class Poor(FakeTransport):
        def _start(self, argv, stdin, env):  # type: ignore[no-untyped-def]
            return super()._start(argv, stdin, {**(env or {}), "PATH": str(folder)})

    fake = Poor(tmp_path / "fake")
    assert [fake.run([tool]).code for tool in tools] == [127] * len(tools)
    return fake
