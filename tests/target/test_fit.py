from __future__ import annotations

import pytest

from slmdeploy.target.fit import fits
from slmdeploy.target.load import load_target

GIB = 2**30


@pytest.mark.parametrize(
    ("peak_bytes", "status"),
    [(GIB, "ok"), (7 * GIB, "warn"), (8 * GIB, "warn"), (8 * GIB + 1, "fail"), (None, "unknown")],
)
def test_memory_is_held_against_the_limit(peak_bytes, status):
    memory = fits(load_target("rpi5-executorch"), None, peak_bytes)[0]
    assert (memory.check, memory.status) == ("memory", status)


def test_a_target_without_limits_gives_unknown_and_not_ok():
    findings = fits(load_target("local-executorch"), GIB, GIB)
    assert [finding.status for finding in findings] == ["unknown", "unknown"]


def test_what_is_not_known_stays_none():
    memory = fits(load_target("rpi5-executorch"), None, None)[0]
    assert memory.needed_bytes is None
    assert memory.limit_bytes == 8 * GIB
