"""What a board has is not sent again: whole files, chunks of other files; damage is found."""

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
from slmdeploy.errors import TransferError
from slmdeploy.runtime.protocol import RunnerFiles
from slmdeploy.transport.base import Transport
from slmdeploy.transport.fake import FakeTransport
from tests.boards.sshd import SshdBoard
from tests.device.bundles import make_bundle, make_runner

MIB = 1 << 20
Bundle = tuple[Path, Manifest]


class Board(FakeTransport):
    """A board whose tools are those of one busybox, or this computer's."""

    tools: Path | None = None

    def _start(self, argv, stdin, env):  # type: ignore[no-untyped-def]
        if self.tools is not None:
            env = {**(env or {}), "PATH": str(self.tools)}
            argv = [str(self.tools / "sh") if argv[0] == "sh" else argv[0], *argv[1:]]
        return super()._start(argv, stdin, env)


@pytest.fixture(params=["coreutils", "busybox"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    fake = Board(tmp_path / "fake")
    if request.param == "busybox":
        busybox = shutil.which("busybox")
        if busybox is None:
            pytest.skip("no busybox is installed (apt-get install busybox-static)")
        fake.tools = tmp_path / "bin"
        fake.tools.mkdir()
        for name in fake._local.check([busybox, "--list"]).stdout.split():
            (fake.tools / name).symlink_to(busybox)
    return fake


@pytest.fixture
def model() -> bytes:
    return os.urandom(9 * MIB + 12345)


@pytest.fixture
def runner(tmp_path: Path) -> RunnerFiles:
    return make_runner(tmp_path / "runner")


def bundle(folder: Path, model: bytes) -> Bundle:
    return make_bundle(folder, model=model)


def changed(data: bytes, *places: int) -> bytes:
    copy = bytearray(data)
    for place in places:
        copy[place] ^= 1
    return bytes(copy)


def model_of(done: Deployment) -> bytes:
    return Path(done.model_path).read_bytes()


def rot(path: Path, *places: int, keep_times: bool) -> None:
    """Change bytes of a file in its place, as a failing card does."""
    times = path.stat()
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 1]))
    if keep_times:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_of_a_changed_artifact_only_the_changed_chunk_is_sent(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    push(*bundle(tmp_path / "a", model), runner, board)
    other = changed(model, 5 * MIB + 7)
    done = push(*bundle(tmp_path / "b", other), runner, board)
    assert model_of(done) == other
    assert MIB < done.sent_bytes < 2 * MIB
    assert done.copied_bytes == len(model) - MIB


def test_two_versions_take_the_room_of_two(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    push(*bundle(tmp_path / "a", model), runner, board)
    push(*bundle(tmp_path / "b", changed(model, 3)), runner, board)
    found = [path.stat() for path in Path(board.home()).rglob("*") if path.is_file()]
    sizes = {file.st_ino: file.st_size for file in found}
    assert sum(sizes.values()) < 2 * len(model) + MIB


def test_an_unchanged_bundle_is_asked_for_once_and_hashed_nowhere(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    one = bundle(tmp_path / "a", model)
    push(*one, runner, board)
    board.commands.clear()
    sent = board.sent_bytes
    assert push(*one, runner, board).sent_bytes == 0
    assert board.sent_bytes == sent
    (survey,) = board.commands
    assert "df -Pk" in survey.argv[2]


def test_a_rotten_chunk_is_found_by_its_time_and_sent_alone(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    one = bundle(tmp_path / "a", model)
    done = push(*one, runner, board)
    rot(Path(done.model_path), 4 * MIB + 1, keep_times=False)
    again = push(*one, runner, board)
    assert model_of(again) == model
    assert again.sent_bytes == MIB
    (remark,) = again.remarks
    assert "model.pte on fake was damaged" in remark
    assert "1 of its 10 chunks had to be sent again" in remark
    assert push(*one, runner, board).sent_bytes == 0


def test_rot_that_leaves_no_trace_is_found_on_request(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    one = bundle(tmp_path / "a", model)
    done = push(*one, runner, board)
    rot(Path(done.model_path), 10, 8 * MIB, keep_times=True)
    assert push(*one, runner, board).sent_bytes == 0
    again = push(*one, runner, board, verify=True)
    assert again.sent_bytes == 2 * MIB
    assert model_of(again) == model


def test_a_copy_of_a_rotten_chunk_is_noticed_and_the_chunk_sent_once(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    old = push(*bundle(tmp_path / "a", model), runner, board)
    rot(Path(old.model_path), 2 * MIB, keep_times=True)
    other = changed(model, 5 * MIB)
    done = push(*bundle(tmp_path / "b", other), runner, board)
    assert model_of(done) == other
    assert any("1 of its 10 chunks were damaged" in remark for remark in done.remarks)
    assert 2 * MIB <= done.sent_bytes < 2 * MIB + 65536


def test_a_board_that_damages_all_it_stores_is_refused(
    board: Board, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    class Damaging(Board):
        def pour(self, argv, blocks):  # type: ignore[no-untyped-def]
            return super().pour(
                argv, (changed(bytes(b), len(b) // 2) if len(b) == MIB else b for b in blocks)
            )

    bad = Damaging(tmp_path / "bad")
    with pytest.raises(TransferError, match=r"model\.pte arrived on fake with sha256 .*, not"):
        push(*bundle(tmp_path / "a", model), runner, bad)
    assert not (Path(bad.home()) / "bundles").exists()
    assert not list((Path(bad.home()) / "incoming").iterdir())


def test_damage_on_the_way_is_mended_by_sending_that_chunk_again(
    runner: RunnerFiles, tmp_path: Path, model: bytes
):
    class Once(Board):
        damaged = False

        def pour(self, argv, blocks):  # type: ignore[no-untyped-def]
            def spoil() -> Iterator[bytes]:
                for block in blocks:
                    first, self.damaged = (
                        not self.damaged and len(block) == MIB,
                        (self.damaged or len(block) == MIB),
                    )
                    yield changed(bytes(block), 99) if first else block

            return super().pour(argv, spoil())

    board = Once(tmp_path / "once")
    done = push(*bundle(tmp_path / "a", model), runner, board)
    assert model_of(done) == model
    assert "1 of its 10 chunks" in done.remarks[0]
    assert (done.sent_bytes > len(model), done.skipped_bytes) == (True, 0)


def test_a_board_without_stat_is_hashed_each_time(
    runner: RunnerFiles, tmp_path: Path, model: bytes
):
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox is installed (apt-get install busybox-static)")
    board = Board(tmp_path / "fake")
    board.tools = tmp_path / "bin"
    board.tools.mkdir()
    for name in board._local.check([busybox, "--list"]).stdout.split():
        if name != "stat":
            (board.tools / name).symlink_to(busybox)
    one = bundle(tmp_path / "a", model)
    push(*one, runner, board)
    assert push(*one, runner, board).sent_bytes == 0


def test_a_board_without_awk_is_told_before_anything_is_sent(
    runner: RunnerFiles, tmp_path: Path, model: bytes
):
    board = Board(tmp_path / "fake")
    board.tools = tmp_path / "bin"
    board.tools.mkdir()
    names = ("sh", "mkdir", "find", "rm", "rmdir", "df", "sed", "cat", "wc", "stat", "dd", "tar")
    for name in names:
        (board.tools / name).symlink_to(str(shutil.which(name)))
    with pytest.raises(TransferError, match=r"fake lacks awk\."):
        push(*bundle(tmp_path / "a", model), runner, board)
    assert board.sent_bytes == 0


def test_a_board_that_lacks_a_tool_is_told_which(runner: RunnerFiles, tmp_path: Path, model: bytes):
    board = Board(tmp_path / "fake")
    board.tools = tmp_path / "bin"
    board.tools.mkdir()
    for name in ("sh", "mkdir", "find", "rm", "rmdir", "df", "sed", "cat", "wc", "awk", "stat"):
        (board.tools / name).symlink_to(str(shutil.which(name)))
    with pytest.raises(TransferError, match="fake lacks dd, dd with iflag=fullblock, tar"):
        push(*bundle(tmp_path / "a", model), runner, board)


def test_hundreds_of_small_files_travel_together(board: Board, tmp_path: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    files = {}
    for number in range(300):
        (folder / str(number)).write_bytes(b"x" * number + os.urandom(5))
        files[f"lib/{number % 7}/{number}.py"] = folder / str(number)
    (folder / "runner").write_bytes(b"#!/bin/sh\necho started\n")
    runner = RunnerFiles({"slmd-runner": folder / "runner", **files}, "slmd-runner")
    done = push(*bundle(tmp_path / "a", b"small"), runner, board)
    assert all(
        (Path(done.runner_dir) / path).read_bytes() == source.read_bytes()
        for path, source in files.items()
    )
    assert os.access(f"{done.runner_dir}/slmd-runner", os.X_OK)


def test_over_ssh_a_changed_chunk_is_all_that_travels(
    own_sshd: SshdBoard, runner: RunnerFiles, tmp_path: Path, model: bytes
):
    with closing(connect(own_sshd.device())) as ssh:
        transport: Transport = ssh
        push(*bundle(tmp_path / "a", model), runner, transport)
        other = changed(model, len(model) - 1)
        done = push(*bundle(tmp_path / "b", other), runner, transport)
    assert model_of(done) == other
    assert done.sent_bytes < 2 * MIB
