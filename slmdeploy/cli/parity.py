"""Artifacts of several targets beside one another: each against the compressed model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slmdeploy.cli.console import plain
from slmdeploy.cli.rungs import rungs_text

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import RungResult
    from slmdeploy.pipeline import Attempt, Exported

__all__ = ["parity_document", "parity_text"]


def parity_document(attempts: Sequence[Attempt[Exported]]) -> dict[str, Any] | None:
    """The table for ``--json``; ``None`` where not two targets got as far as that."""
    rows, digests = _rows(attempts), _digests(attempts)
    if len(digests) < 2:
        return None
    return {
        "one_model": len(set(digests.values())) == 1,
        "compressed_sha256": digests,
        "rows": [{"target": target, **plain(rung)} for target, rung in rows],
    }


def parity_text(attempts: Sequence[Attempt[Exported]]) -> str | None:
    """The table for people; ``None`` as above."""
    digests = set(_digests(attempts).values())
    rows = [
        rung.model_copy(update={"name": f"{target} {rung.name}"})
        for target, rung in _rows(attempts)
    ]
    if len(_digests(attempts)) < 2:
        return None
    head = (
        f"All are held against one compressed model (its logits: sha256 {digests.pop()[:12]}):"
        if len(digests) == 1
        else "Each is held against its own compressed model; these are not the same:"
    )
    return f"\n{head}\n{rungs_text(rows)}"


def _rows(attempts: Sequence[Attempt[Exported]]) -> list[tuple[str, RungResult]]:
    return [
        (attempt.subject, rung)
        for attempt in attempts
        if attempt.value is not None
        for rung in attempt.value.parity
    ]


def _digests(attempts: Sequence[Attempt[Exported]]) -> dict[str, str]:
    return {
        attempt.subject: attempt.value.compressed_sha256
        for attempt in attempts
        if attempt.value is not None
        and attempt.value.parity
        and attempt.value.compressed_sha256 is not None
    }
