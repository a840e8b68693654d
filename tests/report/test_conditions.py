from __future__ import annotations

from slmdeploy.report.conditions import differing, warnings

from ..bench.watched import series  # noqa: TID252
from .reported import decoder, failed, on_a_board


def test_equal_conditions_need_no_warning():
    assert warnings([decoder("a"), decoder("b", device="pi5-b")]) == ()


def test_another_workload_or_thread_count_is_said_with_its_records():
    records = [decoder("a"), decoder("b", tokens=9), decoder("c", threads=2)]
    found = differing(records)
    assert set(found) == {"workload", "threads"}
    assert found["threads"] == {"4": ("a", "b"), "2": ("c",)}
    assert "threads is 4 (a, b); 2 (c)." in warnings(records)[1]


def test_records_without_numbers_are_compared_with_nothing():
    assert warnings([decoder("a", tokens=9), failed("b")]) == ()


def governed(name: str, *governors: str):
    return on_a_board(name, series("governor", governors, of="policy0"))


def test_governors_that_differ_are_a_warning():
    found = differing([governed("aaa", "ondemand", "ondemand"), governed("bbb", "performance")])
    assert found["governor"] == {"ondemand": ("aaa",), "performance": ("bbb",)}


def test_a_governor_that_changed_meanwhile_is_another_condition():
    found = differing([governed("aaa", "ondemand", "performance"), governed("bbb", "performance")])
    assert list(found["governor"]) == ["ondemand + performance", "performance"]


def test_a_governor_that_is_not_known_differs_from_none():
    assert "governor" not in differing([governed("aaa", "ondemand"), on_a_board("bbb")])
