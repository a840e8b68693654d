"""The fake answers as it is told, and fails as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.errors import ConnectError, TransferError
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import Command, FakeTransport


def thermometer(command: Command) -> Result | None:
    return Result(0, "temp=48.9'C\n", "") if command.argv[0] == "vcgencmd" else None


def test_a_handler_answers_and_leaves_the_rest_to_this_computer(tmp_path: Path):
    fake = FakeTransport(tmp_path, handler=thermometer)
    assert fake.run(["vcgencmd", "measure_temp"]).stdout == "temp=48.9'C\n"
    assert fake.run(["echo", "real"]).stdout == "real\n"
    assert [command.argv[0] for command in fake.commands] == ["vcgencmd", "echo"]


def test_a_device_that_is_away_does_nothing(tmp_path: Path):
    fake = FakeTransport(tmp_path)
    fake.faults.away = True
    for use in (
        fake.home,
        lambda: fake.run(["true"]),
        lambda: fake.put(tmp_path, "x"),
        lambda: fake.get("x", tmp_path),
    ):
        with pytest.raises(ConnectError, match="does not answer"):
            use()


def test_a_cut_put_leaves_the_old_file_and_a_part_of_the_new_one(tmp_path: Path):
    fake = FakeTransport(tmp_path / "fake")
    (tmp_path / "old").write_text("old")
    (tmp_path / "new").write_bytes(b"n" * 10_000)
    place = f"{fake.home()}/file"
    fake.put(tmp_path / "old", place)
    fake.faults.cut_put_after_bytes = 4000
    with pytest.raises(ConnectError):
        fake.put(tmp_path / "new", place)
    assert Path(place).read_text() == "old"
    assert [p.stat().st_size for p in Path(place).parent.glob("file.part-*")] == [4000]


def test_a_cut_happens_once(tmp_path: Path):
    fake = FakeTransport(tmp_path / "fake")
    (tmp_path / "new").write_bytes(b"n" * 10_000)
    fake.faults.cut_put_after_bytes = 4000
    with pytest.raises(ConnectError):
        fake.put(tmp_path / "new", f"{fake.home()}/file")
    fake.put(tmp_path / "new", f"{fake.home()}/file")
    assert fake.sent_bytes == 14_000


def test_a_full_disk_says_how_much_was_free(tmp_path: Path):
    fake = FakeTransport(tmp_path / "fake")
    (tmp_path / "new").write_bytes(b"n" * 10_000)
    fake.faults.free_bytes = 9_999
    with pytest.raises(TransferError, match="9999 bytes are free"):
        fake.put(tmp_path / "new", f"{fake.home()}/file")


def test_a_stream_may_be_cut_in_the_middle(tmp_path: Path):
    fake = FakeTransport(tmp_path)
    fake.faults.cut_output_after_bytes = 4
    lines = fake.stream(["printf", "one\\ntwo\\n"])
    assert next(lines) == "one"
    with pytest.raises(ConnectError, match="lost"):
        next(lines)
