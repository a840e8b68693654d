"""What an export takes of this computer, forecast from a configuration. No torch.

The coefficients were fitted to whole exports of random models of 4 to 134 million parameters
(``benchmarks/forecast.py``), each in a process of its own. Memory hardly depends on the
computer; time does, so that it is given as processor time of the one that measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import HostError
from slmdeploy.model.config import DecoderConfig

__all__ = ["ExportCost", "available_memory", "export_cost", "float32_bytes", "require_memory"]

MARGIN = 1.1
"""By which the forecast of memory lies above the fitted line: what was measured shall stay
under it, and within a fifth of it."""

_CONTEXT = 2048
"""Of targets that do not say another."""

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class _Line:
    """Peak and time over the size of the float32 weights.

    Attributes:
        base_bytes: Python with the exporter's packages, and small graphs.
        per_byte: Bytes of the peak for each byte of weights.
        table_byte: The same for the table, the largest tensor: of that one there are several
            copies at once.
        caches: Float32 caches of the whole context that are there at once.
        base_s: Processor seconds of the smallest model.
        byte_s: For each byte of weights.
    """

    base_bytes: float
    per_byte: float
    table_byte: float
    caches: float
    base_s: float
    byte_s: float

    def peak(self, weights: int, table: int, cache: int) -> float:
        """The line's peak in bytes; ``table`` is a part of the weights."""
        rest = self.per_byte * (weights - table) + self.table_byte * table
        return self.base_bytes + rest + self.caches * cache


@dataclass(frozen=True)
class ExportCost:
    """A forecast of one export.

    Attributes:
        peak_bytes: Largest resident set on this computer.
        cpu_s: Processor seconds, without the ladder's runs.
    """

    peak_bytes: int
    cpu_s: float


_READING = _Line(590e6, 1.3, 1.3, 0.0, 0.0, 0.0)
"""The least that any export takes: the source model, and compression in place."""

_FLOAT, _INTEGER = "float", "integer"
_LINES: Mapping[tuple[str, str], _Line] = {
    ("executorch", _FLOAT): _Line(560e6, 2.1, 4.7, 1, 32.0, 1.2e-7),
    ("executorch", _INTEGER): _Line(570e6, 0.75, 3.8, 1, 32.0, 1.5e-7),
    ("litert", _FLOAT): _Line(800e6, 5.0, 5.0, 1, 35.0, 2e-7),
    ("litert", _INTEGER): _Line(800e6, 5.0, 5.0, 1, 35.0, 2e-7),
    ("coreml", _FLOAT): _Line(660e6, 1.8, 11.6, 2, 40.0, 2.5e-7),
    ("coreml", _INTEGER): _Line(630e6, 2.2, 4.4, 2, 40.0, 2.5e-7),
    # Core ML's, and what packing it into the ``.pte`` adds: more of floats, which are larger.
    ("executorch-coreml", _FLOAT): _Line(650e6, 4.8, 14.1, 2, 45.0, 4e-7),
    ("executorch-coreml", _INTEGER): _Line(660e6, 5.0, 6.2, 2, 45.0, 4e-7),
}


def float32_bytes(config: DecoderConfig) -> int:
    """Bytes of a decoder's matrices and table in float32; a tied table once."""
    hidden, size = config.hidden_size, config.head_dim
    attention = (2 * config.heads + 2 * config.kv_heads) * size * hidden
    layer = attention + 3 * config.intermediate_size * hidden
    tables = config.vocab_size * hidden * (1 if config.tied else 2)
    return 4 * (config.layers * layer + tables)


def export_cost(
    config: DecoderConfig, recipe: Recipe, runtime: str, context: int | None = None
) -> ExportCost | None:
    """Forecast memory and time; ``None`` for a runtime that was not measured.

    Args:
        config: Of the decoder.
        recipe: What it is compressed to.
        runtime: Name of the exporter, as in ``"executorch"``.
        context: Tokens that a run may hold; ``None`` for what exporters choose.
    """
    kind = _INTEGER if recipe.body.bits <= 8 else _FLOAT
    line = _LINES.get(("litert" if runtime == "tflite-runtime" else runtime, kind))
    if line is None:
        return None
    weights, cache = float32_bytes(config), _cache_bytes(config, context or _CONTEXT)
    table = 4 * config.vocab_size * config.hidden_size
    peak = max(one.peak(weights, table, cache) for one in (line, _READING))
    return ExportCost(
        peak_bytes=round(MARGIN * peak),
        cpu_s=line.base_s + line.byte_s * weights,
    )


def _cache_bytes(config: DecoderConfig, context: int) -> int:
    """Keys and values in float32."""
    places = min(context, config.context)
    return 2 * 4 * config.layers * places * config.kv_heads * config.head_dim


def available_memory() -> int | None:
    """Bytes that a process of this computer could still take, within its control group.

    ``None`` where the system does not say (not Linux).
    Source: ``MemAvailable`` of ``proc(5)``; ``memory.max`` and ``memory.current`` of the
    kernel's ``cgroup-v2`` documentation.
    """
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    return free if limit is None or used is None else min(free, max(limit - used, 0))


def require_memory(
    config: DecoderConfig, recipe: Recipe, runtime: str, name: str, context: int | None = None
) -> None:
    """Say no before an export starts that this computer has no memory for.

    Args:
        config: Of the decoder.
        recipe: What it is compressed to.
        runtime: Name of the exporter.
        name: Of the model.
        context: Tokens that a run may hold; ``None`` for what exporters choose.

    Raises:
        HostError: The forecast is beyond what is available.
    """
    cost, free = export_cost(config, recipe, runtime, context), available_memory()
    if cost is None or free is None or cost.peak_bytes <= free:
        return
    raise HostError(
        f"The export of {name} for {runtime} would take about {cost.peak_bytes // 2**20} MiB of "
        f"memory (estimate), and {free // 2**20} MiB are available.",
        hint="End other programs, add swap, or export on a larger computer.",
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # ``max`` where there is no limit
        return None
