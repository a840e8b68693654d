"""The parity ladder as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slmdeploy.cli.console import table_text

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import RungResult

__all__ = ["rungs_text"]

_METRICS = (
    ("max_abs_error", "max abs error", ".2e"),
    ("snr_db", "SNR dB", ".1f"),
    ("cosine", "cosine", ".5f"),
    ("kl", "KL nats", ".2e"),
    ("top1_agreement", "top-1", ".3f"),
    ("greedy_match_length", "greedy match", ".0f"),
)


def rungs_text(rungs: Sequence[RungResult]) -> str:
    """A row a rung: its status, what it was held against, and every metric."""
    columns = ["rung", "against", "status", *(title for _, title, _ in _METRICS), "reason"]
    return table_text(columns, [_row(rung) for rung in rungs])


def _row(rung: RungResult) -> list[str | None]:
    cells = [_number(rung.metrics.get(key), form) for key, _, form in _METRICS]
    return [rung.name, rung.against, rung.status, *cells, rung.reason or ""]


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
