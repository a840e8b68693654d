from __future__ import annotations

import dataclasses
from pathlib import Path
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.cli.console import plain, table_text
from slmdeploy.cli.progress import LineProgress, left_text, rate_text, shown
from slmdeploy.progress import Step, bytes_of, silent


@dataclasses.dataclass(frozen=True)
class Inner:
    path: Path
    count: int | None


def test_values_become_what_json_has():
    value = {"inner": (Inner(Path("a/b"), None),), "names": {"x"}}
    assert plain(value) == {"inner": [{"path": "a/b", "count": None}], "names": ["x"]}


def test_numbers_that_json_has_not_become_null():
    assert plain({"snr_db": float("inf"), "kl": float("nan"), "cosine": 1.0}) == {
        "snr_db": None,
        "kl": None,
        "cosine": 1.0,
    }


def test_a_column_of_numbers_stands_on_the_right():
    assert table_text(["name", "bytes"], [("a", 1), ("bb", 1000)]).splitlines() == [
        "name  bytes",
        "a         1",
        "bb    1,000",
    ]


def test_what_could_not_be_had_is_a_dash_and_not_nothing():
    assert table_text(["a", "b"], [("x", None)]).splitlines()[1].split() == ["x", "-"]


def test_a_cell_is_one_line_whatever_a_board_calls_its_processes():
    lines = table_text(["a", "b"], [("\x1b[2Jx\ny\x0bz", "\x85\u2028")]).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("\ufffd[2Jx y\ufffdz")


def test_a_table_without_rows_is_its_head():
    assert table_text(["a", "b"], []) == "a  b"


@given(st.lists(st.tuples(st.text("ab1-. ", min_size=1), st.integers()), max_size=5))
def test_a_table_has_a_line_a_row_and_no_trailing_space(rows):
    lines = table_text(["text", "number"], rows).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(line == line.rstrip() for line in lines)


def test_a_step_that_counts_is_told_once_at_its_end(capsys):
    progress = LineProgress()
    tell = bytes_of(progress, "send model")
    tell(512, 2048)
    tell(2048, 2048)
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "send model ..."
    assert err[1].startswith("send model: 2.0 KiB, ")
    assert len(err) == 2


def test_a_step_that_is_over_at_once_takes_one_line(capsys):
    LineProgress()(Step("fetch demo", finished=True, note="already there"))
    err = capsys.readouterr().err
    assert err.startswith("fetch demo: ")
    assert err.endswith("(already there)\n")


def test_progress_never_goes_to_stdout(capsys):
    for terminal in (True, False):
        with shown(quiet=False, terminal=terminal) as progress:
            progress(Step("count", done=1, total=2))
            progress(Step("count", done=2, total=2, finished=True))
            progress(Step("wait", finished=False))
            progress(Step("wait", finished=True))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "count" in captured.err


def test_quiet_progress_says_nothing(capsys):
    with shown(quiet=True, terminal=True) as progress:
        assert progress is silent
        progress(Step("count"))
    assert capsys.readouterr().err == ""


def test_the_rate_of_what_moved_is_told_with_its_end(capsys):
    progress = LineProgress(iter([7.0, 9.0]).__next__)
    progress(Step("push to pi5-a", 0, 2048, "bytes"))
    bytes_of(progress, "push to pi5-a")(2048, 2048)
    assert capsys.readouterr().err.splitlines()[-1] == "push to pi5-a: 2.0 KiB, 2.0 s, 1.0 KiB/s"
    assert rate_text(Step("x", 3 << 20, 3 << 20, "bytes"), 2.0) == ", 1.5 MiB/s"
    assert rate_text(Step("x", 3, 3, "runs"), 2.0) == ""
    assert rate_text(Step("x", 3 << 20, 3 << 20, "bytes"), 0.04) == ""


def test_a_bar_of_bytes_says_its_rate_and_what_is_left():
    assert left_text("bytes", float(2 << 20), 7.4) == "2.0 MiB/s, 7 s left"
    assert left_text("bytes", None, None) == ""
    assert left_text("runs", 2.0, 7.0) == ""


def test_two_threads_may_tell_at_once(capsys):
    progress = LineProgress()
    threads = [Thread(target=bytes_of(progress, f"push to {n}"), args=(1, 1)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(capsys.readouterr().err.splitlines()) == 20


def test_a_remark_is_a_line_without_seconds(capsys):
    LineProgress()(Step("pi5-a: governor of policy0: ondemand -> performance", finished=True))
    told = capsys.readouterr().err
    assert told == "pi5-a: governor of policy0: ondemand -> performance\n"
