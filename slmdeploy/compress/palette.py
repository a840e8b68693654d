"""Palettes: each weight becomes an index into a small table.

k-means in one dimension works on sorted values: the values that are nearest to a centre
are a run of them, found by bisection, and the mean of a run is a difference of prefix sums.
One step costs the bisection alone, however many weights there are (Lloyd 1982, "Least
squares quantization in PCM"). It starts from quantiles and from half way between these and
equal steps, and of both ends the better one is taken, so the result is the same each time.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    ordered = grouped.sort(dim=1).values
    mass = (ordered != 0).double() if sparse else torch.ones_like(ordered, dtype=torch.float64)
    runs = _Runs(ordered, _prefix(mass), _prefix(mass * ordered), _prefix(mass * ordered**2))
    count = 2**spec.bits
    centres = _steps(runs, count)
    if spec.method == "kmeans":
        quantiles = _quantiles(runs, count)
        between = (quantiles + centres) / 2
        centres = _better(runs, _settled(runs, quantiles), _settled(runs, between))
    table, scales = _stored(centres, spec, half=half)
    return nearest(grouped, table * scales).to(torch.uint8), table, scales


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
        tables: float32 [tables, K], ascending.

    Returns:
        int64 [tables, N].
    """
    tables, values = tables.contiguous(), values.contiguous()
    above = torch.searchsorted(tables, values).clamp(max=tables.shape[1] - 1)
    below = (above - 1).clamp(min=0)
    high, low = tables.gather(1, above), tables.gather(1, below)
    # Entries may be equal, and then the first of them is meant.
    first = torch.searchsorted(tables, low)
    return torch.where((values - low).abs() <= (high - values).abs(), first, above)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Sorted values [tables, N] with prefix sums [tables, N + 1] of mass, value and square."""

    ordered: Tensor
    mass: Tensor
    sums: Tensor
    squares: Tensor

    def ends(self, centres: Tensor) -> Tensor:
        """Where the run of each centre begins, and the last one ends: [tables, K + 1]."""
        middles = (centres[:, 1:] + centres[:, :-1]) / 2
        inner = torch.searchsorted(self.ordered, middles.contiguous())
        zero = torch.zeros_like(inner[:, :1])
        return torch.cat([zero, inner, zero + self.ordered.shape[1]], dim=1)


def _prefix(values: Tensor) -> Tensor:
    return torch.nn.functional.pad(values.cumsum(dim=1), (1, 0))


def _between(prefix: Tensor, ends: Tensor) -> Tensor:
    return prefix.gather(1, ends).diff(dim=1)


def _quantiles(runs: _Runs, count: int) -> Tensor:
    """Centres that stand for equally many values each."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    wanted = shares * runs.mass[:, -1:]
    places = torch.searchsorted(runs.mass, wanted.contiguous()) - 1
    return runs.ordered.gather(1, places.clamp(0, runs.ordered.shape[1] - 1))


def _steps(runs: _Runs, count: int) -> Tensor:
    """Equal steps from the smallest value that counts to the largest."""
    total = runs.mass[:, -1:].contiguous()
    last = torch.searchsorted(runs.mass, total) - 1
    first = torch.searchsorted(runs.mass, torch.ones_like(total)) - 1
    size = runs.ordered.shape[1] - 1
    low, high = (runs.ordered.gather(1, end.clamp(0, size)) for end in (first, last))
    return low + (high - low) * torch.linspace(0, 1, count)


def _settled(runs: _Runs, centres: Tensor) -> Tensor:
    for _ in range(_STEPS):
        ends = runs.ends(centres)
        mass, sums = _between(runs.mass, ends), _between(runs.sums, ends)
        moved = torch.where(mass > 0, sums / mass.clamp(min=1), centres.double()).float()
        # A centre that stands for nothing stays, and rounding may put neighbours in disorder.
        moved = moved.sort(dim=1).values
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def _better(runs: _Runs, one: Tensor, other: Tensor) -> Tensor:
    """For each table the centres with the smaller squared error."""
    errors = [_error(runs, centres) for centres in (one, other)]
    return torch.where((errors[0] <= errors[1])[:, None], one, other)


def _error(runs: _Runs, centres: Tensor) -> Tensor:
    ends, exact = runs.ends(centres), centres.double()
    mass, sums, squares = (_between(p, ends) for p in (runs.mass, runs.sums, runs.squares))
    return (squares - 2 * exact * sums + exact**2 * mass).sum(dim=1)
