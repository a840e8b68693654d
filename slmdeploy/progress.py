"""How a long step says where it is, without knowing who shows it.

A step calls its ``Progress`` with ``Step`` events; ``cli/console.py`` shows them as a
bar on a terminal, as plain lines elsewhere and as JSON lines on request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Progress", "Step", "Unit", "bytes_of", "silent"]

Unit = Literal["bytes", "steps", "tokens", "runs", "texts"]


@dataclass(frozen=True)
class Step:
    """Where a step is.

    Attributes:
        name: What is being done, as in ``"lower decode to XNNPACK"``; the key by which
            later events belong to earlier ones.
        done: Units done; ``None`` where the step cannot count.
        total: Units in all; ``None`` where it is not known.
        unit: What is counted.
        finished: The step is over.
        note: A short remark, as in ``"kept from the last export"``.
    """

    name: str
    done: int | None = None
    total: int | None = None
    unit: Unit = "steps"
    finished: bool = False
    note: str | None = None


class Progress(Protocol):
    """Takes the events of a step; must return fast and never raise."""

    def __call__(self, step: Step, /) -> None:
        """Take one event."""


def silent(step: Step, /) -> None:
    """Show nothing: the ``Progress`` of the Python API's default."""
    del step


def bytes_of(progress: Progress, name: str) -> Callable[[int, int], None]:
    """Adapt to the (bytes done, bytes in all) that a transport calls.

    Args:
        progress: Who is told.
        name: What is being moved.
    """

    def tell(done: int, total: int) -> None:
        progress(Step(name, done, total, "bytes", finished=done >= total))

    return tell
