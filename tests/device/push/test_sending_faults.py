"""Faults in the middle of a push, over a real connection where they can be had there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push.plan import bundle_folder
from slmdeploy.device.push.push import Deployment, push
from slmdeploy.device.push.sending import send
from slmdeploy.errors import BundleError, ConnectError, TransferError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Transport
from slmdeploy.transport.fake import Command, FakeTransport
from tests.boards.sshd import SshdBoard
from tests.device.bundles import make_bundle, make_runner

MIB = 1 << 20
Bundle = tuple[Path, Manifest]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", model=os.urandom(24 * MIB))


@pytest.fixture
def runner(tmp_path: Path) -> RunnerFiles:
    return make_runner(tmp_path / "runner")


@pytest.fixture
def ssh(own_sshd: SshdBoard) -> Iterator[Transport]:
    with closing(connect(own_sshd.device())) as transport:
        yield transport


def same(done: Deployment, bundle: Bundle) -> bool:
    return Path(done.model_path).read_bytes() == (bundle[0] / "model.pte").read_bytes()


def nothing_half(home: Path) -> bool:
    """No folder of a bundle but whole ones, and no blob without its right content."""
    folders = list(home.glob(".slmdeploy/bundles/*/*/"))
    return all((folder / "model.pte").exists() for folder in folders if folder.is_dir())


def test_what_arrived_before_the_cable_was_pulled_is_not_sent_again(
    own_sshd: SshdBoard, ssh: Transport, bundle: Bundle, runner: RunnerFiles
):
    def cut(done: int, total: int) -> None:
        if done > total // 2:
            own_sshd.kill()

    with pytest.raises(ConnectError):
        push(*bundle, runner, ssh, progress=cut)
    assert nothing_half(own_sshd.home)
    own_sshd.start()
    done = push(*bundle, runner, ssh)
    assert done.sent_bytes <= 16 * MIB
    assert done.sent_bytes + done.skipped_bytes > 24 * MIB
    assert same(done, bundle)


PUSHING = """
import sys
from contextlib import closing
from pathlib import Path
from slmdeploy.bundle.folder import read_manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push.push import push
from slmdeploy.device.types import Device
from slmdeploy.runtime.protocol import RunnerFiles
host, port, user, key, host_key, bundle, runner = sys.argv[1:]
device = Device(
    "b", host=host, port=int(port), user=user, identity_file=Path(key), host_key=host_key
)
files = RunnerFiles({"slmd-runner": Path(runner) / "runner"}, "slmd-runner")
def half(done, total):
    if done > total // 2:
        print("half", flush=True)
        sys.stdin.read()
with closing(connect(device)) as transport:
    push(Path(bundle), read_manifest(Path(bundle)), files, transport, progress=half)
"""


def test_a_host_process_that_is_killed_is_followed_by_one_that_goes_on(
    own_sshd: SshdBoard, ssh: Transport, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    device = own_sshd.device()
    words = [device.host, device.port, device.user, device.identity_file, device.host_key]
    argv = [sys.executable, "-c", PUSHING, *map(str, words), str(bundle[0])]
    child = subprocess.Popen(
        [*argv, str(tmp_path / "runner")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"half\n"
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert nothing_half(own_sshd.home)
    done = push(*bundle, runner, ssh)
    assert same(done, bundle)
    assert done.sent_bytes < 20 * MIB


def test_after_a_cut_between_upload_and_rename_nothing_is_sent_again(
    tmp_path: Path, bundle: Bundle, runner: RunnerFiles
):
    def away(command: Command) -> None:
        if "stored=" in command.argv[2]:
            raise ConnectError("The cable was pulled.")

    fake = FakeTransport(tmp_path / "fake", handler=away)
    with pytest.raises(ConnectError):
        push(*bundle, runner, fake)
    assert nothing_half(Path(fake.home()).parent)
    fake._handler = lambda _: None
    done = push(*bundle, runner, fake)
    assert done.sent_bytes == 0
    assert same(done, bundle)
    assert not list((Path(fake.home()) / "incoming").iterdir())


def test_interrupted_by_the_user_it_goes_on_the_next_time(
    ssh: Transport, bundle: Bundle, runner: RunnerFiles
):
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(*bundle, runner, ssh, progress=interrupt)
    done = push(*bundle, runner, ssh)
    assert done.sent_bytes < 20 * MIB
    assert same(done, bundle)


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to mount a small disk")
def test_a_disk_that_fills_up_in_the_middle_is_said_and_left_as_it_was(
    own_sshd: SshdBoard, bundle: Bundle, runner: RunnerFiles
):
    """Somebody else fills the disk after there was room enough."""
    disk = own_sshd.home / ".slmdeploy"
    own_sshd.kill()
    disk.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0777", "tmpfs", str(disk)]
    subprocess.run(argv, check=True)
    try:
        own_sshd.start()
        with closing(connect(own_sshd.device())) as ssh:
            filler = disk / "somebody's file"

            def fill(done: int, total: int) -> None:
                if not filler.exists():
                    filler.write_bytes(b"x" * (30 * MIB))

            with pytest.raises(TransferError, match="No space left on device") as caught:
                push(*bundle, runner, ssh, progress=fill)
            assert "devices gc" in str(caught.value)
            assert caught.value.exit_code == 4
            assert sorted(path.name for path in disk.iterdir()) == [
                "blobs",
                "incoming",
                filler.name,
            ]
            assert not list((disk / "incoming").iterdir())
            with pytest.raises(TransferError, match=r"bytes free .* would be written"):
                push(*bundle, runner, ssh)
            filler.unlink()
            assert same(push(*bundle, runner, ssh), bundle)
    finally:
        own_sshd.kill()
        argv = ["umount", str(disk)]
        subprocess.run(argv, check=True)


def test_a_home_that_is_read_only_is_said_and_may_be_mended(
    own_sshd: SshdBoard, ssh: Transport, bundle: Bundle, runner: RunnerFiles
):
    own_sshd.home.chmod(0o555)
    with pytest.raises(TransferError, match="cannot be written to"):
        push(*bundle, runner, ssh)
    own_sshd.home.chmod(0o755)
    assert same(push(*bundle, runner, ssh), bundle)


def test_a_home_with_blanks_and_quotes_and_files_with_such_names(
    own_sshd: SshdBoard, tmp_path: Path
):
    own_sshd.kill()
    own_sshd.home = own_sshd.folder / "it's my home"
    own_sshd.home.mkdir()
    shutil.chown(own_sshd.home, *(2 * [own_sshd.folder.stat().st_uid]))
    (own_sshd.folder / "sshd_config").write_text(own_sshd._config())
    own_sshd.start()
    path, manifest = make_bundle(tmp_path / "bundle")
    odd = 'LICENSE of "my model\'s" $HOME.txt'
    (path / "LICENSE").rename(path / odd)
    manifest = manifest.model_copy(
        update={"files": {odd: manifest.files["LICENSE"], **manifest.files}}
    )
    manifest.files.pop("LICENSE")
    (tmp_path / "x").write_bytes(b"#!/bin/sh\necho started\n")
    files = RunnerFiles({"lib dir/it's $(a) runner": tmp_path / "x"}, "lib dir/it's $(a) runner")
    with closing(connect(own_sshd.device())) as ssh:
        done = push(path, manifest, files, ssh)
        assert (Path(done.bundle_dir) / odd).read_bytes() == b"Apache-2.0\n"
        assert ssh.check([f"{done.runner_dir}/{files.executable}"]).stdout == "started\n"
        assert push(path, manifest, files, ssh).sent_bytes == 0


def test_two_pushes_at_once_to_one_board_both_arrive(
    own_sshd: SshdBoard, bundle: Bundle, runner: RunnerFiles, tmp_path: Path
):
    other = make_bundle(tmp_path / "other", model=os.urandom(8 * MIB))
    both = threading.Barrier(3, timeout=60)
    done: dict[int, Deployment] = {}

    def work(number: int, what: Bundle) -> None:
        with closing(connect(own_sshd.device())) as ssh:
            both.wait()
            done[number] = push(*what, runner, ssh)

    jobs = [threading.Thread(target=work, args=it) for it in enumerate((bundle, bundle, other))]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert same(done[0], bundle)
    assert same(done[1], bundle)
    assert same(done[2], other)
    assert not list((own_sshd.home / ".slmdeploy/incoming").iterdir())


@pytest.fixture
def half_sent(tmp_path: Path, bundle: Bundle, runner: RunnerFiles) -> tuple[FakeTransport, Path]:
    """A board that a push of the bundle was cut to, and the folder of what had arrived."""
    fake = FakeTransport(tmp_path / "fake")
    fake.faults.cut_put_after_bytes = 8 * MIB
    with pytest.raises(ConnectError):
        push(*bundle, runner, fake)
    (folder,) = (Path(fake.home()) / "incoming").iterdir()
    return fake, folder


def living_writer(folder: Path, *, tag: str | None = None) -> subprocess.Popen[bytes]:
    """A process that the board takes for the one that writes to a part; it knows the push's tag."""
    argv = ["sh", "-c", "sleep 60; :", "sh", str(folder), folder.name if tag is None else tag]
    writer = subprocess.Popen(argv, start_new_session=True)
    (folder / "writer").write_text(f"{writer.pid}\n")
    return writer


def test_what_a_living_push_of_another_host_sends_is_left_alone(
    half_sent: tuple[FakeTransport, Path], bundle: Bundle, runner: RunnerFiles
):
    fake, folder = half_sent
    writer = living_writer(folder)
    try:
        (folder / "owner").write_text("somebody@elsewhere (process 1)\n")
        assert push(*bundle, runner, fake).sent_bytes > 24 * MIB
        assert writer.poll() is None
        assert folder.exists()
    finally:
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()


def test_a_writer_that_hangs_since_its_host_is_gone_is_stopped(
    half_sent: tuple[FakeTransport, Path], bundle: Bundle, runner: RunnerFiles
):
    """A pulled cable leaves sshd waiting; its host's push is followed by the same host's."""
    fake, folder = half_sent
    writer = living_writer(folder)
    done = push(*bundle, runner, fake)
    assert writer.wait(timeout=10) == -9
    assert done.sent_bytes < 20 * MIB
    assert same(done, bundle)


def test_another_process_that_got_a_writers_number_is_left_alone(
    half_sent: tuple[FakeTransport, Path], bundle: Bundle, runner: RunnerFiles
):
    fake, folder = half_sent
    other = living_writer(folder, tag="another")
    try:
        assert same(push(*bundle, runner, fake), bundle)
        assert other.poll() is None
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()


def test_a_file_of_the_bundle_that_is_damaged_here_never_gets_its_name_there(
    ssh: Transport, bundle: Bundle, runner: RunnerFiles, own_sshd: SshdBoard
):
    model = bundle[0] / "model.pte"
    data = bytearray(model.read_bytes())
    data[5_000_000] ^= 1
    model.write_bytes(data)
    with pytest.raises(BundleError, match="is not the file that the manifest names"):
        push(*bundle, runner, ssh)
    assert not (own_sshd.home / ".slmdeploy/bundles").exists()
    assert not list((own_sshd.home / ".slmdeploy/incoming").iterdir())


def test_a_bundle_that_is_removed_while_it_is_sent(
    ssh: Transport, bundle: Bundle, runner: RunnerFiles
):
    (bundle[0] / "model.pte").unlink()
    (bundle[0] / "model.pte").symlink_to("/nowhere")
    with pytest.raises(BundleError, match="lacks"):
        push(*bundle, runner, ssh)


def test_a_small_file_that_is_removed_while_it_is_sent(ssh: Transport, bundle: Bundle):
    licence = bundle[0] / "LICENSE"
    plan = bundle_folder(*bundle)
    licence.unlink()
    with pytest.raises(BundleError, match="LICENSE cannot be read: No such file"):
        send([plan], ssh)


def test_a_record_of_versions_that_was_lost_in_a_power_cut_is_written_anew(
    ssh: Transport, bundle: Bundle, runner: RunnerFiles
):
    current = Path(push(*bundle, runner, ssh).bundle_dir).parent / "current"
    current.write_text("")
    done = push(*bundle, runner, ssh)
    assert current.read_text().split()[0] == done.digest[:12]
