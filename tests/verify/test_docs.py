from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.verify.comparators.registry import COMPARATORS
from slmdeploy.verify.thresholds import RUNG_KINDS, THRESHOLDS

PAGE = (Path(__file__).parents[2] / "docs" / "parity-ladder.md").read_text(encoding="utf-8")
SIGNS = {"max_abs_error": "≤", "snr_db": "≥", "top1_agreement": "≥"}


def cell(kind, precision):
    limits = THRESHOLDS[kind][precision]
    return ", ".join(f"`{name}` {SIGNS[name]} {value:g}" for name, value in limits.items())


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int4"])
def test_the_page_has_the_limits_of_the_table(precision):
    cells = [cell(kind, precision) for kind in ("decoder", "artifact", "device")]
    assert THRESHOLDS["exported"] == THRESHOLDS["artifact"]
    assert f"| {precision} | {' | '.join(cells)} |" in PAGE


@pytest.mark.parametrize("name", [*RUNG_KINDS, *COMPARATORS])
def test_the_page_describes_every_rung_and_measure(name):
    assert f"| `{name}` |" in PAGE
