"""Memory that is let go of goes back to the system. No torch."""

from __future__ import annotations

import ctypes

__all__ = ["return_at_once"]

_M_MMAP_THRESHOLD = -3
_AT_LEAST = 1 << 20


def return_at_once() -> None:
    """Let the allocator give tensors of 1 MiB and more back as soon as nothing needs them.

    glibc raises the size from which it asks the system for memory of its own up to 32 MiB,
    as such pieces are freed. Tensors below it then lie on the heap, which cannot shrink where
    something small was put behind them: an export of 25 million parameters took 1202 MB where
    some 750 MB are needed, and how much was lost depended on the shapes. Fixing the size ends
    that. Where the C library is another one nothing is done.

    Source: ``mallopt(3)``, ``M_MMAP_THRESHOLD``.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _AT_LEAST)
    except (AttributeError, OSError, TypeError):  # no such function, or no such library
        return
