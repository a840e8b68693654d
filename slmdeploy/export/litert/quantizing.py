"""Give the constants of a converted file the form that the recipe made of them.

``ai-edge-quantizer`` writes the file: it knows LiteRT's layouts, and keeps a constant that
two signatures share in one place. It does not choose the numbers: its algorithm for weights
that were quantized before, which guesses their scales, is exchanged for one of ours that
hands over integers and scales as the compressed module has them.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_quantizer import algorithm_manager, qtyping, quantizer
from ai_edge_quantizer.algorithms.nonlinear_quantize import float_casting
from ai_edge_quantizer.algorithms.uniform_quantize import common_quantize, naive_min_max_quantize
from ai_edge_quantizer.utils import tfl_flatbuffer_utils

from slmdeploy.errors import ExportError
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.litert.weights import Carried, content_digest

__all__ = ["quantize_file"]

_ALGORITHM = algorithm_manager.AlgorithmName.DEQUANTIZED_WEIGHT_RECOVERY
_WEIGHT = 1
"""Place of the weight among the inputs of both operators."""

_KINDS = {
    qtyping.TFLOperationName.FULLY_CONNECTED: "linear",
    qtyping.TFLOperationName.EMBEDDING_LOOKUP: "embedding",
}


@dataclasses.dataclass
class _Table:
    """What constants become, and which were met."""

    carried: Mapping[tuple[str, str], Carried]
    explicit: bool = False
    met: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    digests: dict[int, str] = dataclasses.field(default_factory=dict)

    def find(self, kind: str, buffer: int, content: Any) -> Carried | None:
        """The form of a constant; ``None`` where it stays as it is."""
        if content is None or content.dtype != np.float32:
            return None
        if buffer not in self.digests:
            self.digests[buffer] = content_digest(content)
        key = kind, self.digests[buffer]
        if key in self.carried:
            self.met.add(key)
        return self.carried.get(key)

    def differs(self, content: Any) -> bool:
        """Whether a constant becomes one thing as an embedding and another as a head."""
        if content is None or content.dtype != np.float32:
            return False
        digest = content_digest(content)
        keys = [("embedding", digest), ("linear", digest)]
        both = all(key in self.carried for key in keys)
        return both and not _same(*(self.carried[key] for key in keys))


def _same(one: Carried, other: Carried) -> bool:
    if one.bits != other.bits or one.values is None or other.values is None:
        return one.bits == other.bits
    return _equal(one.values, other.values) and _equal(one.scales, other.scales)


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other))


_table = _Table({})
"""Of the file that is being written: the quantizer's registry of algorithms is global too."""


def quantize_file(
    source: Path,
    destination: Path,
    carried: Mapping[tuple[str, str], Carried],
    *,
    explicit_tables: bool = False,
) -> int:
    """Write a converted file with other constants.

    Args:
        source: The float32 ``.tflite``.
        destination: The file to write.
        carried: What weights become, by kind and digest of their float content.
        explicit_tables: Widen quantized tables before they are looked up, for a runtime
            whose lookup knows no scale for each row; costs their size in float32.

    Returns:
        How many tables are not in the file: the converter looked their rows up itself, where
        these are always the same, and left them in float32.

    Raises:
        ExportError: A weight is not in the file as it was in the module.
    """
    _register()
    with _current(_Table(carried, explicit_tables)) as table, quiet():
        work = quantizer.Quantizer(str(source))
        _part_tables(work._float_model, table)  # noqa: SLF001 - the only way to its object
        for name in _KINDS:
            work.update_quantization_recipe(
                regex=".*",
                operation_name=name,
                op_config=_placeholder(),
                algorithm_key=_ALGORITHM,
            )
        result = work.quantize(enable_progress_bar=False, enable_progress_report=False)
    missed = [kind for kind, _ in set(carried) - table.met]
    changed = missed.count("linear")
    if changed:
        raise ExportError(
            f"The converter changed {changed} of {len(carried)} weights, so the recipe cannot "
            "be carried over to them.",
            hint="Export it with --recipe none.",
        )
    destination.unlink(missing_ok=True)
    result.export_model(str(destination), overwrite=True)
    return len(missed)


@contextlib.contextmanager
def _current(table: _Table) -> Iterator[_Table]:
    global _table  # noqa: PLW0603 - see there
    before, _table = _table, table
    try:
        yield table
    finally:
        _table = before


def _register() -> None:
    for name in _KINDS:
        algorithm_manager.register_quantized_op(
            _ALGORITHM,
            name,
            naive_min_max_quantize.init_qsvs,
            calibration_func=naive_min_max_quantize.min_max_calibrate,
            materialize_func=_materialize,
        )


def _part_tables(model: Any, table: _Table) -> None:
    """Give a tied embedding a constant of its own where it becomes another than the head.

    The quantizer would do so too, but for each signature anew.
    """
    parted: dict[int, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            if _KINDS.get(tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME.get(code)) != "embedding":
                continue
            tied = graph.tensors[operator.inputs[_WEIGHT]]
            content = tfl_flatbuffer_utils.get_tensor_data(tied, model.buffers)
            if not table.differs(content):
                continue
            if tied.buffer not in parted:
                parted[tied.buffer] = len(model.buffers)
                model.buffers.append(copy.copy(model.buffers[tied.buffer]))
            own = copy.copy(tied)
            own.buffer, own.name = parted[tied.buffer], bytes(tied.name) + b"_embedding"
            operator.inputs[_WEIGHT] = len(graph.tensors)
            graph.tensors.append(own)


def _placeholder() -> Any:
    """A configuration that passes checks; ``_materialize`` puts a weight's own in its place."""
    weight = qtyping.TensorQuantizationConfig(num_bits=8, symmetric=True)
    return qtyping.OpQuantizationConfig(weight_tensor_config=weight, skip_checks=True)


def _config(carried: Carried) -> Any:
    """A weight's form in the quantizer's words."""
    granularities = qtyping.QuantGranularity
    if carried.block:
        granularity = getattr(granularities, f"BLOCKWISE_{carried.block}")
    else:
        granularity = granularities.TENSORWISE if carried.one_scale else granularities.CHANNELWISE
    floats = carried.bits == 16
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=carried.bits,
            symmetric=True,
            granularity=granularity,
            dtype=qtyping.TensorDataType.FLOAT if floats else qtyping.TensorDataType.INT,
        ),
        compute_precision=(
            qtyping.ComputePrecision.INTEGER if carried.dynamic else qtyping.ComputePrecision.FLOAT
        ),
        explicit_dequantize=not carried.dynamic,
        skip_checks=True,
    )


def _materialize(
    op_info: Any, graph_info: Any, tensor_name_to_qsv: Any, tensor_quant_params_cache: Any
) -> Any:
    """The quantizer's question for an operator: what becomes of its tensors."""
    kind = _KINDS[op_info.op_name]
    tensor = graph_info.subgraph_tensors[op_info.op.inputs[_WEIGHT]]
    content = tfl_flatbuffer_utils.get_tensor_data(tensor, graph_info.buffers)
    carried = _table.find(kind, tensor.buffer, content)
    if carried is None:
        return _left_alone(op_info, graph_info)
    if kind == "embedding" and carried.bits < 16 and not _table.explicit:
        carried = dataclasses.replace(carried, dynamic=True)  # its kernel scales what it reads
    known = dataclasses.replace(op_info, op_quant_config=_config(carried))
    if carried.bits == 16:
        return float_casting.materialize_fc_conv(
            known, graph_info, tensor_name_to_qsv, tensor_quant_params_cache
        )
    materialize = (
        common_quantize.materialize_fc_conv
        if kind == "linear"
        else common_quantize.materialize_embedding_lookup
    )
    given = _params(carried)
    return materialize(
        lambda *_: given, known, graph_info, tensor_name_to_qsv, tensor_quant_params_cache
    )


def _params(carried: Carried) -> Any:
    """Integers and scales, in the shapes that the quantizer has for them."""
    scales = carried.scales
    if scales is None:
        raise ValueError("only integers have scales")
    dimension = 1 if carried.block else None if carried.one_scale else 0
    return qtyping.UniformQuantParams(
        num_bits=carried.bits,
        quantized_dimension=dimension,
        scale=scales,
        zero_point=np.zeros(scales.shape, dtype=np.int32),
        symmetric=True,
        quantized_data=carried.values,
        block_size=carried.block,
    )


def _left_alone(op_info: Any, graph_info: Any) -> list[Any]:
    """Every tensor of the operator stays as it is."""

    def as_it_is() -> Any:
        return qtyping.OpToTensorParams(
            subgraph_op_id=op_info.subgraph_op_index,
            transformations=[qtyping.QuantTransformation.NO_QUANTIZE],
        )

    def named(index: int) -> str:
        name: str = tfl_flatbuffer_utils.get_tensor_name(graph_info.subgraph_tensors[index])
        return name

    params = qtyping.TensorTransformationParams
    inputs = [params(named(i), consumers=[as_it_is()]) for i in op_info.op.inputs if i != -1]
    outputs = [params(named(i), producer=as_it_is()) for i in op_info.op.outputs if i != -1]
    return [*inputs, *outputs]
