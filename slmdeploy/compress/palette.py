"""Palettes: each weight becomes an index into a small table.

k-means in one dimension works on sorted values: the values that are nearest to a centre
are a run of them, found by bisection, and the mean of a run is a difference of prefix sums.
One step costs the bisection alone, however many weights there are (Lloyd 1982, "Least
squares quantization in PCM"). It starts from quantiles and from half way between these and
equal steps, and of both ends the better one is taken, so the result is the same each time.

Of a large table only each so many-th prefix sum is kept, and what lies between is added up
when it is asked for: beside the weights there is then a sorted copy of them, and little else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from slmdeploy.compress.parts import WeightParts
from slmdeploy.compress.recipe import PaletteSpec
from slmdeploy.errors import RecipeError

__all__ = ["check_channels", "nearest", "palettize"]

_STEPS = 1000
"""At most; 4 bits settle in some 100 steps, more bits take longer."""
_TABLES_AT_ONCE = 1 << 22
"""Weights whose tables are made together; more would only take more memory."""
_VALUES_AT_ONCE = 1 << 20
"""Weights that are widened or looked up together."""
_BLOCK = 64
"""Values for each prefix sum that is kept of a table larger than ``_TABLES_AT_ONCE``."""
_INT8 = 127


def check_channels(name: str, rows: int, spec: PaletteSpec) -> None:
    """Refuse tables for a number of rows that does not divide them all.

    Raises:
        RecipeError: It does not.
    """
    if spec.channels is not None and rows % spec.channels:
        raise RecipeError(
            f"{name!r} has {rows} rows, which do not divide into tables for {spec.channels}.",
            hint=f"Choose palette.channels that divide {rows}, or leave it out for one table.",
        )


def palettize(
    weight: Tensor, spec: PaletteSpec, *, sparse: bool = False, half: bool = False
) -> WeightParts:
    """Find tables and indices.

    Args:
        weight: float32 [rows, columns]; the rows divide into those of a table.
        spec: Bits, rows of a table, method and kind of table.
        sparse: Whether zeros are no weights: tables are made for the others alone.
        half: Whether scales of a table of integers are rounded to float16, too.

    Raises:
        RecipeError: A value is too large for float16.
    """
    channels = spec.channels or len(weight)
    grouped = weight.detach().reshape(len(weight) // channels, -1)
    at_once = max(1, _TABLES_AT_ONCE // grouped.shape[1])
    parts = [
        _palettize(part, spec, sparse=sparse, half=half) for part in torch.split(grouped, at_once)
    ]
    values, tables, scales = (list(column) for column in zip(*parts, strict=True))
    return WeightParts(
        bits=spec.bits,
        values=torch.cat(values).reshape(weight.shape),
        scales=torch.cat(scales) if spec.table == "int8" else None,
        table=torch.cat(tables),
        sparse=sparse,
    )


def _palettize(
    grouped: Tensor, spec: PaletteSpec, *, sparse: bool, half: bool
) -> tuple[Tensor, Tensor, Tensor]:
    runs = _runs(grouped, sparse=sparse)
    count = 2**spec.bits
    centres = _steps(runs, count)
    if spec.method == "kmeans":
        quantiles = _quantiles(runs, count)
        between = (quantiles + centres) / 2
        centres = _better(runs, _settled(runs, quantiles), _settled(runs, between))
    table, scales = _stored(centres, spec, half=half)
    return nearest(grouped, table * scales), table, scales


def _stored(centres: Tensor, spec: PaletteSpec, *, half: bool) -> tuple[Tensor, Tensor]:
    """A table as it is kept, and its scale (1 for floats)."""
    if spec.table == "fp16":
        table = centres.half().float()
        if not bool(table.isfinite().all()):
            raise RecipeError(
                f"A weight of {centres.abs().max():.4g} is beyond float16's 65504.",
                hint="Choose a recipe without palettes for this model.",
            )
        return table, torch.ones_like(table[:, :1])
    scales = centres.abs().amax(dim=1, keepdim=True) / _INT8
    scales = scales.half().float() if half else scales
    scales = scales.clamp(min=2.0**-24)  # the smallest float16
    return (centres / scales).round().clamp(-_INT8, _INT8), scales


def nearest(values: Tensor, tables: Tensor) -> Tensor:
    """Indices of the nearest entries; of equal entries, and at equal distance, the first.

    Args:
        values: float32 [tables, N].
        tables: float32 [tables, K], ascending; K is 256 at most.

    Returns:
        uint8 [tables, N].
    """
    tables, found = tables.contiguous(), torch.empty(values.shape, dtype=torch.uint8)
    at_once = max(1, _VALUES_AT_ONCE // len(values))
    for part, into in zip(
        torch.split(values, at_once, 1), torch.split(found, at_once, 1), strict=True
    ):
        into.copy_(_nearest(part.contiguous(), tables))
    return found


def _nearest(values: Tensor, tables: Tensor) -> Tensor:
    above = torch.searchsorted(tables, values).clamp_(max=tables.shape[1] - 1)
    below = (above - 1).clamp_(min=0)
    high, low = tables.gather(1, above), tables.gather(1, below)
    # Entries may be equal, and then the first of them is meant.
    first = torch.searchsorted(tables, low)
    return torch.where((values - low).abs() <= (high - values).abs(), first, above)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Sorted values [tables, N], and sums of the first so many of them.

    Attributes:
        ordered: The values, float32.
        zeros: int64 [tables, 2], between which there are zeros that do not count.
        block: How many values lie between two sums that are kept.
        sums: float64 [tables, N // block + 1], of values.
        squares: The same of their squares.
    """

    ordered: Tensor
    zeros: Tensor
    block: int
    sums: Tensor
    squares: Tensor

    def some(self, chosen: Tensor) -> _Runs:
        """Of the tables that are chosen, bool [tables]."""
        parts = (self.ordered, self.zeros, self.sums, self.squares)
        ordered, zeros, sums, squares = (part[chosen] for part in parts)
        return _Runs(ordered, zeros, self.block, sums, squares)

    def ends(self, centres: Tensor) -> Tensor:
        """Where the run of each centre begins, and the last one ends: [tables, K + 1]."""
        middles = (centres[:, 1:] + centres[:, :-1]) / 2
        inner = torch.searchsorted(self.ordered, middles.contiguous())
        zero = torch.zeros_like(inner[:, :1])
        return torch.cat([zero, inner, zero + self.ordered.shape[1]], dim=1)

    def mass(self, ends: Tensor) -> Tensor:
        """How many of the values before each end count, int64."""
        first, last = self.zeros[:, :1], self.zeros[:, 1:]
        return ends - (torch.minimum(ends, last) - first).clamp(min=0)

    def total(self, ends: Tensor, *, squared: bool = False) -> Tensor:
        """Sum of the values, or of their squares, before each end: float64."""
        found = (self.squares if squared else self.sums).gather(1, ends // self.block)
        if self.block == 1:
            return found
        places = (ends // self.block * self.block)[..., None] + torch.arange(self.block)
        inside = places.clamp(max=self.ordered.shape[1] - 1).flatten(1)
        values = self.ordered.gather(1, inside).reshape(places.shape).double()
        values = torch.where(places < ends[..., None], values, 0.0)
        return found + (values**2 if squared else values).sum(dim=-1)

    def at_mass(self, wanted: Tensor) -> Tensor:
        """The value with which so many are reached that count, [tables, wanted]."""
        before, size = self.zeros[:, :1], self.zeros[:, 1:] - self.zeros[:, :1]
        needed = wanted.ceil().long()
        places = needed + torch.where(needed > before, size, 0) - 1
        return self.ordered.gather(1, places.clamp(0, self.ordered.shape[1] - 1))


def _runs(grouped: Tensor, *, sparse: bool) -> _Runs:
    # numpy's sort, since torch's gives places besides, twice the size of the values.
    ordered = torch.from_numpy(np.sort(grouped.numpy(), axis=1))
    block = _BLOCK if grouped.shape[1] > _TABLES_AT_ONCE else 1
    zeros = torch.zeros(len(ordered), 2, dtype=torch.int64)
    if sparse:
        zero = torch.zeros(len(ordered), 1)
        sides = [torch.searchsorted(ordered, zero, right=right) for right in (False, True)]
        zeros = torch.cat(sides, dim=1)
    sums, squares = (_prefix(ordered, block, power) for power in (1, 2))
    return _Runs(ordered, zeros, block, sums, squares)


def _prefix(ordered: Tensor, block: int, power: int) -> Tensor:
    """Sums of the first 0, ``block``, 2 ``block``, ... values to a power: float64."""
    whole = ordered[:, : ordered.shape[1] // block * block].reshape(len(ordered), -1, block)
    at_once = max(1, _VALUES_AT_ONCE // (block * len(ordered)))
    sums = [(part.double() ** power).sum(dim=-1) for part in torch.split(whole, at_once, 1)]
    return torch.nn.functional.pad(torch.cat(sums, dim=1).cumsum(dim=1), (1, 0))


def _quantiles(runs: _Runs, count: int) -> Tensor:
    """Centres that stand for equally many values each."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return runs.at_mass(shares * _all_mass(runs))


def _steps(runs: _Runs, count: int) -> Tensor:
    """Equal steps from the smallest value that counts to the largest."""
    total = _all_mass(runs)
    low, high = runs.at_mass(torch.ones_like(total)), runs.at_mass(total)
    return low + (high - low) * torch.linspace(0, 1, count)


def _all_mass(runs: _Runs) -> Tensor:
    """How many values of each table count, float64 [tables, 1]."""
    return runs.mass(torch.full((len(runs.ordered), 1), runs.ordered.shape[1])).double()


def _settled(runs: _Runs, centres: Tensor) -> Tensor:
    found, left = centres.clone(), torch.arange(len(centres))
    for _ in range(_STEPS):
        moved = _moved(runs, centres)
        found[left] = moved
        moving = (moved != centres).any(dim=1)
        if not bool(moving.any()):
            break
        centres = moved
        if 2 * int(moving.sum()) <= len(moving):  # go on with those alone
            runs, centres, left = runs.some(moving), moved[moving], left[moving]
    return found


def _moved(runs: _Runs, centres: Tensor) -> Tensor:
    ends = runs.ends(centres)
    mass, sums = runs.mass(ends).diff(dim=1), runs.total(ends).diff(dim=1)
    means = torch.where(mass > 0, sums / mass.clamp(min=1), centres.double()).float()
    # A centre that stands for nothing stays, and rounding may put neighbours in disorder.
    return means.sort(dim=1).values


def _better(runs: _Runs, one: Tensor, other: Tensor) -> Tensor:
    """For each table the centres with the smaller squared error."""
    errors = [_error(runs, centres) for centres in (one, other)]
    return torch.where((errors[0] <= errors[1])[:, None], one, other)


def _error(runs: _Runs, centres: Tensor) -> Tensor:
    ends, exact = runs.ends(centres), centres.double()
    mass, sums = runs.mass(ends).diff(dim=1), runs.total(ends).diff(dim=1)
    squares = runs.total(ends, squared=True).diff(dim=1)
    return (squares - 2 * exact * sums + exact**2 * mass).sum(dim=1)
