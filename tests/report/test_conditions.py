from __future__ import annotations

from slmdeploy.report.conditions import differing, warnings

from .reported import decoder, failed


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
