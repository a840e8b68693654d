"""Wherever the connection is cut, no line is lost and none comes twice."""

from __future__ import annotations

import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from slmdeploy.device.runs import job_scripts as scripts
from slmdeploy.device.runs import jobs
from slmdeploy.device.runs.jobs import Job
from slmdeploy.device.runs.retry import Patience
from slmdeploy.transport.base import Result
from slmdeploy.transport.fake import FakeTransport

LINES = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), max_size=8)


class Board(FakeTransport):
    """Answers what follows a run, more of whose output is there each time it is asked."""

    def __init__(self, root, text, grown, cuts):
        super().__init__(root, self.answer)
        self.text = text
        self.grown = [*grown, len(text)]
        self.cuts = list(cuts)

    def home(self):
        return "/home/pi/.slmdeploy"

    def answer(self, command):
        script, line = command.argv[2], command.argv[5]
        ended = len(self.grown) == 1
        there = self.text[: self.grown[0]]
        if not ended:
            self.grown.pop(0)
        if script == scripts.FOLLOW:
            return Result(0, from_line(there, line), "")
        state = "state ended\ncode 0\n" if ended else "state running\n"
        return Result(0, f"{state}\n{from_line(there, line) if ended else ''}", "")

    def _start(self, argv, stdin, env):
        if self.cuts:
            self.faults.cut_output_after_bytes = self.cuts.pop(0)
        return super()._start(argv, stdin, env)


def from_line(text, number):
    return "".join(text.splitlines(keepends=True)[int(number) - 1 :])


def whole_lines(text):
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


@given(data=st.data(), lines=LINES, newline=st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_line_comes_once_and_in_order(data, lines, newline, tmp_path_factory):
    lines = ["".join(line.split("\r")).replace("\x0b", "").replace("\x0c", "") for line in lines]
    lines = ["".join(c for c in line if len(f"a{c}a".splitlines()) == 1) for line in lines]
    text = "\n".join(lines) + ("\n" if newline and lines else "")
    ends = [i + 1 for i, c in enumerate(text) if c == "\n"]
    grown = sorted(data.draw(st.lists(st.sampled_from(ends or [0]), max_size=5)))
    cuts = data.draw(st.lists(st.integers(0, 40), max_size=8))
    board = Board(tmp_path_factory.getbasetemp() / "fake", text, grown, cuts)
    patient = functools.partial(Patience, sleep=lambda _: None)
    jobs.Patience, kept = patient, jobs.Patience
    try:
        assert list(Job(board, "t-1").follow()) == whole_lines(text)
    finally:
        jobs.Patience = kept
