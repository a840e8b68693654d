"""What is particular to this computer as a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.errors import CommandError
from slmdeploy.transport.files import LINKED_FROM_BYTES
from slmdeploy.transport.local import HOME_VARIABLE, LocalTransport


def test_home_is_the_argument_then_the_variable_then_the_users_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "variable"))
    assert LocalTransport(root=tmp_path / "given").home() == str(tmp_path / "given")
    assert LocalTransport().home() == str(tmp_path / "variable")
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert LocalTransport().home() == str(tmp_path / "data" / "slmdeploy" / "device")


def test_a_large_file_is_linked_and_not_copied(tmp_path: Path):
    source = tmp_path / "large"
    source.write_bytes(b"x" * LINKED_FROM_BYTES)
    source.chmod(0o644)
    LocalTransport().put(source, str(tmp_path / "there"))
    assert (tmp_path / "there").samefile(source)


def test_a_small_file_is_copied_since_people_edit_those(tmp_path: Path):
    source = tmp_path / "small"
    source.write_text("x")
    LocalTransport().put(source, str(tmp_path / "there"))
    source.write_text("edited")
    assert (tmp_path / "there").read_text() == "x"


def test_what_is_fetched_is_a_copy(tmp_path: Path):
    (tmp_path / "there").write_bytes(b"x" * LINKED_FROM_BYTES)
    LocalTransport().get(str(tmp_path / "there"), tmp_path / "here")
    assert not (tmp_path / "here").samefile(tmp_path / "there")


def test_a_command_that_ignores_the_first_request_is_made_to_end(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("slmdeploy.transport.local.GRACE_SECONDS", 0.1)
    script = "trap '' TERM; echo ready; while :; do sleep 60; done"
    lines = LocalTransport().stream(["sh", "-c", script], timeout=0.3)
    assert next(lines) == "ready"
    with pytest.raises(CommandError, match="was stopped"):
        next(lines)


def test_a_folder_cannot_be_run(tmp_path: Path):
    result = LocalTransport().run([str(tmp_path)])
    assert result.code == 126
    assert "Permission denied" in result.stderr


def test_a_word_with_a_nul_cannot_be_run():
    result = LocalTransport().run(["echo", "a\0b"])
    assert result.code == 126
    assert "null byte" in result.stderr
