"""What the benchmarks that compare two programs share: series, ratios, tables, other load.

A figure of one side means little on a machine that others use. What is compared is taken
in turn, round by round, and the ratio is taken within each round.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slmdeploy.bench.statistics import median, spread

__all__ = ["CAVEAT", "OtherLoad", "Series", "other_load", "ratio", "table"]

CAVEAT = (
    "Only the ratios mean something, and only within this run: what else the machine did "
    "falls on both sides, but not evenly."
)


@dataclass(frozen=True)
class Series:
    """Values of one quantity, one a round, in the order of the rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over rounds."""
        return median(self.values)

    def document(self, digits: int = 3) -> dict[str, Any]:
        """For JSON: median, extremes, spread as a share of the median, every value."""
        width = spread(self.values)
        return {
            "median": round(self.median, digits),
            "min": round(min(self.values), digits),
            "max": round(max(self.values), digits),
            "spread": None if width is None else round(width, 3),
            "values": [round(value, digits) for value in self.values],
        }


def ratio(ours: Series, theirs: Series) -> Series:
    """Ours by theirs, within each round."""
    pairs = zip(ours.values, theirs.values, strict=True)
    return Series(tuple(mine / other for mine, other in pairs))


@dataclass
class OtherLoad:
    """What other processes took of this machine while something was measured.

    Attributes:
        cpu_share: Their share of all processors' time; ``None`` where the system does
            not say.
    """

    cpu_share: float | None = None

    def text(self) -> str:
        """One sentence."""
        if self.cpu_share is None:
            return "How busy other processes kept the machine is not known."
        return f"Other processes took {self.cpu_share:.0%} of the processors' time meanwhile."

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@contextmanager
def other_load() -> Iterator[OtherLoad]:
    """Watch what other processes take; the value is there after the ``with`` block.

    From ``/proc/stat`` (user, nice, system, irq, softirq and steal count as busy), less
    what this process and its finished children used.
    """
    found = OtherLoad()
    before, own_before = _machine_ticks(), _own_seconds()
    yield found
    after = _machine_ticks()
    if before is None or after is None:
        return
    busy, whole = (end - start for end, start in zip(after, before, strict=True))
    own = (_own_seconds() - own_before) * os.sysconf("SC_CLK_TCK")
    if whole > 0:
        found.cpu_share = round(min(1.0, max(0.0, (busy - own) / whole)), 3)


def _machine_ticks() -> tuple[int, int] | None:
    """Busy ticks and all ticks of all processors since the machine started."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    # The columns after these count time as a guest, which is in user time already.
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, line.split()[1:9])
    busy = user + nice + system + irq + softirq + steal
    return busy, busy + idle + iowait


def _own_seconds() -> float:
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in own)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text in columns: the first to the left, the others to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        aligns: list[Callable[..., str]] = [str.ljust, *[str.rjust] * (len(cells) - 1)]
        padded = [
            align(cell, width) for align, cell, width in zip(aligns, cells, widths, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])
