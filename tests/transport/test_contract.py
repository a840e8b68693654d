"""What every transport must do, held against each of them."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from slmdeploy.errors import CommandError, TransferError
from slmdeploy.transport.adb.transport import AdbTransport
from slmdeploy.transport.base import Result, Transport

MEBIBYTE = 1 << 20


def test_run_gives_code_and_both_outputs(transport: Transport):
    result = transport.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert result == Result(3, "out\n", "err\n")


def test_a_signal_is_a_negative_code(transport: Transport):
    assert transport.run(["sh", "-c", "kill -9 $$"]).code == -9


def test_hang_up_is_told_from_a_lost_connection(transport: Transport):
    assert transport.run(["sh", "-c", "kill -HUP $$"]).code == -1


def test_an_exit_code_above_128_is_not_taken_for_a_signal(transport: Transport):
    # adbd itself tells both by one number, so there it must be the likelier of the two.
    told = -9 if isinstance(transport, AdbTransport) else 137
    assert transport.run(["sh", "-c", "exit 137"]).code == told


def test_code_255_is_told_from_a_lost_connection(transport: Transport):
    result = transport.run(["sh", "-c", "echo said >&2; exit 255"])
    assert result == Result(255, "", "said\n")


def test_a_program_that_is_not_there_ends_with_127(transport: Transport):
    result = transport.run(["no-such-program"])
    assert result.code == 127
    assert "not found" in result.stderr


def test_arguments_arrive_as_they_are(transport: Transport):
    odd = ["", " ", "a b", "'", '"', "$HOME", "`id`", "*", "~", "\\", "\n", "!x", "é", "-n", "a=b"]
    result = transport.run(["printf", "%s\\0", *odd])
    assert result.stdout.split("\0")[:-1] == odd


def test_stdin_arrives_whole_and_then_ends(transport: Transport):
    data = os.urandom(3 * MEBIBYTE)
    counted = transport.run(["sh", "-c", "wc -c; echo end"], stdin=data)
    assert counted.stdout.split() == [str(len(data)), "end"]


def test_much_input_and_output_at_once_do_not_block_each_other(transport: Transport):
    assert len(transport.run(["cat"], stdin=b"x" * 5 * MEBIBYTE).stdout) == 5 * MEBIBYTE


def test_input_that_nobody_reads_is_no_error(transport: Transport):
    assert transport.run(["true"], stdin=b"x" * 5 * MEBIBYTE).code == 0


def test_stdin_is_empty_by_default(transport: Transport):
    assert transport.run(["cat"]).stdout == ""


def test_much_on_stderr_does_not_block(transport: Transport):
    script = "head -c 5000000 /dev/zero | tr '\\0' e >&2; echo done"
    result = transport.run(["sh", "-c", script])
    assert result.stdout == "done\n"
    assert len(result.stderr) == 5_000_000


def test_env_is_added_to_what_is_there(transport: Transport):
    script = 'printf "%s|%s" "$MODE" "${PATH:+set}"'
    assert transport.run(["sh", "-c", script], env={"MODE": "a b'c"}).stdout == "a b'c|set"


def test_bytes_that_are_no_text_do_not_fail(transport: Transport):
    assert transport.run(["printf", "\\377x"]).stdout == "\ufffdx"


def test_check_raises_with_what_was_said_last(transport: Transport):
    with pytest.raises(CommandError, match="no room") as caught:
        transport.check(["sh", "-c", "echo first >&2; echo no room >&2; exit 7"])
    assert (caught.value.code, caught.value.exit_code) == (7, 4)


def test_a_command_past_its_time_is_stopped(transport: Transport, place: str):
    transport.check(["mkdir", "-p", place])
    script = 'echo $$ >"$1"; sleep 300 & wait'
    with pytest.raises(CommandError, match="had not ended after"):
        transport.run(["sh", "-c", script, "sh", f"{place}/pid"], timeout=0.5)
    assert _ended(transport, f"{place}/pid")


def test_stream_yields_lines_before_the_command_ends(transport: Transport):
    lines = transport.stream(["sh", "-c", "echo one; echo two; sleep 300"])
    assert list(islice(lines, 2)) == ["one", "two"]
    lines.close()  # type: ignore[attr-defined]


def test_a_stream_closed_early_ends_the_command_and_its_children(transport: Transport, place: str):
    transport.check(["mkdir", "-p", place])
    script = 'sleep 300 & echo $! >"$1"; echo started; wait'
    lines = transport.stream(["sh", "-c", script, "sh", f"{place}/pid"])
    assert next(lines) == "started"
    lines.close()  # type: ignore[attr-defined]
    assert _ended(transport, f"{place}/pid")


def test_a_stream_may_end_without_a_newline(transport: Transport):
    assert list(transport.stream(["printf", "a\\n\\nb"])) == ["a", "", "b"]


def test_a_stream_raises_at_its_end_if_the_code_is_not_zero(transport: Transport):
    lines = transport.stream(["sh", "-c", "echo one; echo why >&2; exit 5"])
    assert next(lines) == "one"
    with pytest.raises(CommandError, match="code 5: why"):
        next(lines)


def test_a_stream_past_its_time_is_stopped(transport: Transport):
    lines = transport.stream(["sh", "-c", "echo one; sleep 300"], timeout=0.5)
    assert next(lines) == "one"
    with pytest.raises(CommandError, match="had not ended"):
        next(lines)


def test_home_is_absolute_and_our_own(transport: Transport):
    assert transport.home().startswith("/")
    assert transport.home().rpartition("/")[2].lstrip(".") == "slmdeploy"


@pytest.mark.parametrize("size", [0, 1, 3 * MEBIBYTE + 5])
def test_put_then_get_gives_the_same_bytes(
    transport: Transport, place: str, tmp_path: Path, size: int
):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    transport.put(source, f"{place}/deep/er/a 'file'")
    transport.get(f"{place}/deep/er/a 'file'", tmp_path / "back" / "copy")
    assert (tmp_path / "back" / "copy").read_bytes() == source.read_bytes()


def test_put_sets_the_permissions_and_leaves_those_of_the_source(
    transport: Transport, place: str, tmp_path: Path
):
    source = tmp_path / "source"
    source.write_bytes(b"#!/bin/sh\necho here\n" + b"#" * 2 * MEBIBYTE)
    source.chmod(0o600)
    transport.put(source, f"{place}/program", mode=0o755)
    assert transport.check([f"{place}/program"]).stdout == "here\n"
    assert source.stat().st_mode & 0o777 == 0o600


def test_put_replaces_what_was_there(transport: Transport, place: str, tmp_path: Path):
    for content in ("old", "new"):
        (tmp_path / content).write_text(content)
        transport.put(tmp_path / content, f"{place}/file")
    assert transport.check(["cat", f"{place}/file"]).stdout == "new"


def test_the_same_file_put_twice_leaves_nothing_beside_it(
    transport: Transport, place: str, tmp_path: Path
):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 2 * MEBIBYTE)
    for _ in range(2):
        transport.put(source, f"{place}/file")
    assert transport.check(["ls", "-A", place]).stdout.split() == ["file"]


def test_progress_ends_with_all_bytes(transport: Transport, place: str, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 700_001)
    seen: list[tuple[int, int]] = []
    transport.put(source, f"{place}/file", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (700_001, 700_001)
    assert seen == sorted(seen)


def test_put_of_a_file_that_is_not_here_says_so(transport: Transport, place: str, tmp_path: Path):
    with pytest.raises(TransferError, match="No such file"):
        transport.put(tmp_path / "nothing", f"{place}/file")


def test_get_of_a_file_that_is_not_there_leaves_nothing_behind(
    transport: Transport, place: str, tmp_path: Path
):
    with pytest.raises(TransferError, match="No such file"):
        transport.get(f"{place}/nothing", tmp_path / "back" / "copy")
    assert list((tmp_path / "back").iterdir()) == []


def test_put_onto_a_folder_fails_and_leaves_nothing_beside_it(
    transport: Transport, place: str, tmp_path: Path
):
    (tmp_path / "source").write_text("x")
    transport.check(["mkdir", "-p", f"{place}/folder/inside"])
    with pytest.raises(TransferError):
        transport.put(tmp_path / "source", f"{place}/folder")
    assert transport.check(["ls", "-A", place]).stdout.split() == ["folder"]


def test_close_may_be_called_twice(transport: Transport):
    transport.close()
    transport.close()


def _ended(transport: Transport, pid_file: str) -> bool:
    """Whether a process ends soon, or is a zombie that nobody has collected yet."""
    script = """
alive() { read -r a b state rest <"/proc/$pid/stat" && [ "$state" != Z ]; }
read -r pid <"$1"
n=0
while alive && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
! alive
"""
    return transport.run(["sh", "-c", script, "sh", pid_file]).code == 0
