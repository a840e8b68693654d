"""A question after a measurement."""

from __future__ import annotations

import pytest

from slmdeploy.errors import RunnerError
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.progress import silent
from slmdeploy.runtime.protocol import Event
from slmdeploy.steps.answering import answer_note
from tests.bench.traces import FakeRunner


@pytest.fixture(scope="module")
def tokenizer(tiny_kjv):
    found = read_model(parse_ref(str(tiny_kjv))).tokenizer
    assert found is not None
    return found


class _Bundle:
    """What is asked of a bundle."""

    class manifest:  # noqa: N801 - stands for the attribute of a bundle
        name, context = "tiny-kjv--local", 64

        class model:  # noqa: N801 - as above
            kind = "decoder"

    def __init__(self, tokenizer) -> None:
        self._tokenizer = tokenizer

    def tokenizer(self):
        return self._tokenizer


def _events(ids, reason):
    said = [Event("token", {"id": one, "t_ns": index}) for index, one in enumerate(ids)]
    return [Event("prefill", {"start_ns": 0}), *said, Event("done", {"reason": reason})]


def note(tokenizer, script):
    return answer_note(_Bundle(tokenizer), FakeRunner([script]), None, silent)


def test_what_goes_on_from_a_text_is_shown_with_it(tokenizer):
    ids = tokenizer.encode(" God created")
    (said,) = note(tokenizer, _events(ids, "length"))
    assert said == "it goes on: In the beginning God created ..."


def test_an_answer_that_came_to_its_end_has_no_dots(tokenizer):
    (said,) = note(tokenizer, _events(tokenizer.encode(" God"), "stop"))
    assert said.endswith("beginning God")


def test_a_runner_that_fails_is_said_and_costs_no_measurement(tokenizer):
    (said,) = note(tokenizer, RunnerError("killed by signal 9", cause="died"))
    assert said == "asked 'In the beginning', it gave no answer: killed by signal 9"


def test_without_a_tokenizer_there_is_no_text():
    assert answer_note(_Bundle(None), FakeRunner([]), None, silent) == ()
