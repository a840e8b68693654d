"""A device that is away for a moment is tried again; one that refuses us is not."""

from __future__ import annotations

import pytest

from slmdeploy.device.runs.retry import Patience, retried
from slmdeploy.errors import AuthError, ConnectError


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def patience(clock, seconds):
    return Patience(seconds, sleep=clock.sleep, clock=clock)


def failing(times, error):
    left = [error] * times

    def work():
        if left:
            raise left.pop()
        return "done"

    return work


def test_it_waits_longer_each_time(clock):
    assert retried(failing(7, ConnectError("away")), patience(clock, 60)) == "done"
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 5, 5]


def test_at_the_limit_the_last_error_is_told(clock):
    with pytest.raises(ConnectError, match="away"):
        retried(failing(99, ConnectError("away")), patience(clock, 10))
    assert sum(clock.slept) <= 10


def test_an_answer_renews_it(clock):
    waits = patience(clock, 1)
    for _ in range(5):
        waits.wait(ConnectError("away"))
        waits.renew()
    assert clock.slept == [0.25] * 5


def test_a_refusal_is_not_tried_again(clock):
    with pytest.raises(AuthError):
        retried(failing(1, AuthError("no")), patience(clock, 60))
    assert clock.slept == []
