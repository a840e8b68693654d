from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import CommandError, RunnerError
from slmdeploy.runtime.events import parse_line, parse_lines
from slmdeploy.runtime.protocol import Event

START = '{"event":"start","protocol":1}'
DONE = '{"event":"done","reason":"length"}'

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.text().filter(lambda key: key != "event")


@given(st.text(min_size=1), st.dictionaries(keys, values, max_size=5))
def test_whatever_json_can_hold_comes_back(kind: str, data: dict[str, object]) -> None:
    assert parse_line(json.dumps({"event": kind, **data})) == Event(kind, data)


def is_event(line: str) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("event"), str)


@given(st.text().filter(lambda line: not is_event(line)))
def test_any_other_line_is_refused(line: str) -> None:
    with pytest.raises(RunnerError) as caught:
        parse_line(line)
    assert caught.value.cause == "bad_output"


@pytest.mark.parametrize(
    "line",
    [
        "", "[]", "{}", "null", '{"event":1}', '{"event":""}', '{"event":"a"} x',
        '{"event":"a","v":NaN}',
        '{"event":"a","v":Infinity}', '{"event":"a","v":1,"v":2}', '{"event":"to', "[" * 100_000,
    ],
)  # fmt: skip
def test_lines_that_are_not_one_event_are_refused(line: str) -> None:
    with pytest.raises(RunnerError, match="not an event"):
        parse_line(line)


def test_a_long_line_is_quoted_in_part() -> None:
    with pytest.raises(RunnerError) as caught:
        parse_line("x" * 5000)
    assert len(caught.value.message) < 250


def test_unknown_events_and_keys_are_handed_on() -> None:
    lines = [START, '{"event":"weather","sun":true}', DONE]
    assert list(parse_lines(lines))[1] == Event("weather", {"sun": True})


def test_events_come_as_their_lines_come() -> None:
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in (START, DONE):
            taken.append(line)
            yield line

    assert next(parse_lines(lines())).kind == "start"
    assert taken == [START]


def test_an_error_event_is_yielded_and_then_raised() -> None:
    error = '{"event":"error","cause":"bad_model","message":"It is cut.","hint":"Push.","code":3}'
    events = parse_lines([START, error])
    assert [next(events).kind, next(events).kind] == ["start", "error"]
    with pytest.raises(RunnerError) as caught:
        next(events)
    assert (caught.value.cause, caught.value.message, caught.value.hint) == (
        "bad_model", "It is cut.", "Push.",
    )  # fmt: skip


def test_an_error_may_come_before_the_start() -> None:
    with pytest.raises(RunnerError, match="Unknown flag"):
        list(parse_lines(['{"event":"error","cause":"bad_argument","message":"Unknown flag"}']))


@pytest.mark.parametrize("lines", [[], [START], [START, '{"event":"token"}']])
def test_a_run_without_an_end_is_an_error(lines: list[str]) -> None:
    with pytest.raises(RunnerError) as caught:
        list(parse_lines(lines))
    assert caught.value.cause == "no_end"


@pytest.mark.parametrize("first", ['{"event":"start","protocol":2}', '{"event":"start"}', DONE])
def test_another_protocol_is_refused_at_the_first_event(first: str) -> None:
    with pytest.raises(RunnerError, match="protocol 1") as caught:
        list(parse_lines([first, DONE]))
    assert caught.value.cause == "protocol"


def test_how_a_process_died_tells_more_than_its_half_line() -> None:
    def lines() -> Iterator[str]:
        yield START
        yield '{"event":"tok'
        raise CommandError(["slmd-runner"], -9, "")

    with pytest.raises(CommandError):
        list(parse_lines(lines()))
