from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.cli.console import plain, table_text
from slmdeploy.cli.progress import LineProgress, shown
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
