"""Carry what ``compress`` computed into a package as it is: nothing is quantized again.

coremltools reads buffers ``_COREML_/weight/*`` beside a weight (its ``CompressionInfo``) and
makes constant operators of them (``constexpr_*``). Integers are found again by dividing the
weight by its scale, indices by looking for its value in the table; both give what was there,
since a product of an integer and a float16 scale is exact in float32 and tables hold float16.

Two of its functions would change weights or need too much memory, and are replaced here:

* zeros of a sparse weight are taken for those below 2^-10, so small weights would be lost;
* indices are found by the distance to every entry, 128 bytes a weight at 4 bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.palette import nearest
from slmdeploy.compress.parts import WeightParts, dense, parts_of
from slmdeploy.compress.quantize import Compressed
from slmdeploy.export.coreml.shim import coremltools  # noqa: F401 - imported quietly, once
from slmdeploy.export.litert.quiet import quiet

with quiet():
    from coremltools.converters.mil.frontend.torch import converter

__all__ = ["carried_weights", "carry", "handed_over", "require_exact"]

_PREFIX = "_COREML_"
_VERSION = f"{_PREFIX}/metadata_version"
_SPARSE, _PALETTE, _INTEGERS = 1, 2, 3
"""coremltools' ``CompressionType``."""
_WIDTHS = (4, 8)
"""Of signed integers in a package."""

_their_pruning: Any = converter.prune_weights
_their_indices = converter.optimize_utils.find_indices_for_lut


def carry(module: nn.Module, compressed: Compressed | CompressedModule) -> None:
    """Say of each compressed weight how it shall lie in the package, in place.

    Args:
        module: Plain layers, with the names that they have in ``compressed``.
        compressed: What ``compress`` gave. Floats that are not sparse are left alone: rotary
            tables, norms and biases never get here.
    """
    require_exact()
    for name, layer in compressed.module.named_modules():
        parts = parts_of(layer)
        if parts is not None:
            _register(module.get_submodule(name), parts)
    module.register_buffer(_VERSION, torch.tensor(1))


def _register(layer: nn.Module, parts: WeightParts) -> None:
    kinds = [_SPARSE] if parts.sparse else []
    if parts.table is not None:
        kinds.append(_PALETTE)
        _put(layer, "lut", _table(parts)[:, None, :, None])
    if parts.scales is not None:
        kinds.append(_INTEGERS)
        bits = next(width for width in _WIDTHS if width >= parts.bits or width == _WIDTHS[-1])
        scales = parts.scales
        if parts.table is not None:  # a scale for each table of 8-bit integers
            bits, scales = 8, parts.scales[:, :, None, None]
        _put(layer, "quantization_n_bits", torch.tensor(bits))
        _put(layer, "quantization_scale", scales)
    _put(layer, "compression_type", torch.tensor(kinds))


def _put(layer: nn.Module, key: str, value: Tensor) -> None:
    layer.register_buffer(f"{_PREFIX}/weight/{key}", value)


def carried_weights(names: Iterable[str]) -> set[str]:
    """Which weights of a state are described in it: operators make them where they are read.

    Args:
        names: Of all that the state has.
    """
    kind = f"{_PREFIX}/weight/compression_type"
    return {f"{name.removesuffix(kind)}weight" for name in names if name.endswith(kind)}


def _table(parts: WeightParts) -> Tensor:
    """Tables as numbers, float32 [tables, entries]."""
    table = torch.empty(0) if parts.table is None else parts.table
    every = torch.arange(table.shape[1], dtype=torch.uint8).repeat(len(table), 1)
    found = dense(WeightParts(parts.bits, every, parts.scales, table))
    return table if found is None else found


@contextlib.contextmanager
def handed_over(module: nn.Module) -> Iterator[None]:
    """Let conversions inside know what was carried, where a program lost its unused buffers.

    ExecuTorch takes the weights that a delegate uses into it, and nothing beside them.
    """
    carried = {name: value for name, value in module.state_dict().items() if _PREFIX in name}
    theirs = converter.TorchConverter._construct_compression_info  # noqa: SLF001

    def both(state: dict[str, Tensor]) -> Any:
        return theirs({**carried, **state})

    converter.TorchConverter._construct_compression_info = staticmethod(both)  # noqa: SLF001
    try:
        yield
    finally:
        converter.TorchConverter._construct_compression_info = staticmethod(theirs)  # noqa: SLF001


class _ExactPruning:
    """As theirs; a weight is zero where it is zero."""

    @staticmethod
    def compress_by_threshold(
        val: npt.NDArray[Any],
        threshold: float,  # noqa: ARG004 - of their function
        minimum_sparsity_percentile: float,
    ) -> Any:
        return _their_pruning.compress_by_threshold(
            val, threshold=0.0, minimum_sparsity_percentile=minimum_sparsity_percentile
        )


def _indices(
    data: npt.NDArray[Any], lut: npt.NDArray[Any], vector_axis: int | None = None
) -> npt.NDArray[Any]:
    """As theirs, by bisection where tables are ours: one for some rows, in ascending order."""
    tables = lut.reshape(lut.shape[0], -1)
    rows_only = lut.ndim == data.ndim + 2 and tables.shape[1] == lut.shape[-2]
    if not rows_only or bool((np.diff(tables, axis=1) < 0).any()):
        return np.asarray(_their_indices(data, lut, vector_axis))
    values = torch.from_numpy(np.ascontiguousarray(data)).reshape(len(tables), -1)
    found = nearest(values, torch.from_numpy(np.ascontiguousarray(tables)))
    types = converter.types
    bits = int(tables.shape[1]).bit_length() - 1
    dtype = types.nptype_from_builtin(types.string_to_builtin(f"uint{bits}"))
    return found.numpy().astype(dtype).reshape(data.shape)


def require_exact() -> None:
    """Put the replacements in place; it does nothing the second time."""
    converter.prune_weights = _ExactPruning
    converter.optimize_utils.find_indices_for_lut = _indices
