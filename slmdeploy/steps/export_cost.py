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

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class _Line:
    """Peak and time as lines over the size of the float32 weights.

    Attributes:
        base_bytes: Python with the exporter's packages, and small graphs.
        per_byte: Bytes of the peak for each byte of float32 weights.
        base_s: Processor seconds of the smallest model.
        layer_s: For each layer.
        byte_s: For each byte of float32 weights.
    """

    base_bytes: float
    per_byte: float
    base_s: float
    layer_s: float
    byte_s: float


@dataclass(frozen=True)
class ExportCost:
    """A forecast of one export.

    Attributes:
        peak_bytes: Largest resident set on this computer.
        cpu_s: Processor seconds, without the ladder's runs.
    """

    peak_bytes: int
    cpu_s: float


_LINES: Mapping[str, _Line] = {
    "executorch": _Line(553e6, 3.07, 22.0, 1.0, 1e-7),
    "litert": _Line(810e6, 3.5, 22.0, 1.0, 1e-7),
}


def float32_bytes(config: DecoderConfig) -> int:
    """Bytes of a decoder's matrices and table in float32; a tied table once."""
    hidden, size = config.hidden_size, config.head_dim
    attention = (2 * config.heads + 2 * config.kv_heads) * size * hidden
    layer = attention + 3 * config.intermediate_size * hidden
    tables = config.vocab_size * hidden * (1 if config.tied else 2)
    return 4 * (config.layers * layer + tables)


def export_cost(config: DecoderConfig, recipe: Recipe, runtime: str) -> ExportCost | None:
    """Forecast memory and time; ``None`` for a runtime that was not measured."""
    del recipe  # the peak is in the float32 part, whatever comes after it
    line = _LINES.get("litert" if runtime == "tflite-runtime" else runtime)
    if line is None:
        return None
    weights = float32_bytes(config)
    return ExportCost(
        peak_bytes=round(MARGIN * (line.base_bytes + line.per_byte * weights)),
        cpu_s=line.base_s + line.layer_s * config.layers + line.byte_s * weights,
    )


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


def require_memory(config: DecoderConfig, recipe: Recipe, runtime: str, name: str) -> None:
    """Say no before an export starts that this computer has no memory for.

    Raises:
        HostError: The forecast is beyond what is available.
    """
    cost, free = export_cost(config, recipe, runtime), available_memory()
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
