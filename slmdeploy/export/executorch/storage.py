"""Linear weights that the file keeps in another form than the graph is traced with.

float16 weights, and 8- or 4-bit ones with float activations, go through all passes as
plain float32 linear layers; only where a stage is serialized does a weight take the form
that its recipe asks for. XNNPACK has kernels for such pairs, but ExecuTorch's partitioner
knows none of them: given torchao's weight-only tensors it loses their scales.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from executorch.backends.xnnpack import xnnpack_preprocess
from executorch.backends.xnnpack.operators import node_visitor
from executorch.backends.xnnpack.serialization.xnnpack_graph_schema import (
    ConstantDataOffset,
    PerChannelQuant,
    XNNAdd,
    XNNDatatype,
    XNNGraph,
    XNNQuantizedTensorValue,
    XNNTensorValue,
    XNode,
    XValue,
)
from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import (
    CONSTANT_TENSOR_ALIGNMENT,
)
from executorch.backends.xnnpack.utils.utils import get_param_tensor, get_tensor_name
from executorch.backends.xnnpack.utils.xnnpack_constants import UINT64_MAX, XNN_INVALID_VALUE_ID
from torch import Tensor, nn
from torch.fx import Node

from slmdeploy.compress.recipe import LinearSpec

__all__ = ["Storage", "StoredLinear", "storages_of", "store_as", "storing"]

_LINEAR = "aten.linear.default"

_DATATYPES = {
    16: XNNDatatype.xnn_datatype_fp16,
    8: XNNDatatype.xnn_datatype_qcint8,
    4: XNNDatatype.xnn_datatype_qcint4,
}


@dataclass(frozen=True)
class Storage:
    """The form of a weight in the file.

    Attributes:
        bits: 16 for float16; 8 or 4 for symmetric integers.
        scales: float32 [outputs]; ``None`` for float16.
    """

    bits: Literal[4, 8, 16]
    scales: Tensor | None = None

    def encode(self, weight: Tensor) -> Tensor:
        """The bytes of a weight as XNNPACK reads them.

        Args:
            weight: float32 [outputs, inputs] of values that the form can hold, so that
                nothing is lost here.

        Returns:
            float16 or int8 [outputs, inputs], or for 4 bits uint8 [outputs, inputs / 2
            rounded up]: unsigned about 8, the first of two neighbours in the low half.
        """
        if self.scales is None:
            return weight.to(torch.float16)
        values = (weight / self.scales[:, None]).round()
        if self.bits == 8:
            return values.to(torch.int8)
        # The zero that fills an odd row up is 8 like every other zero.
        values = nn.functional.pad(values, (0, values.shape[1] % 2)).to(torch.uint8) + 8
        return values[:, 0::2] | (values[:, 1::2] << 4)


class StoredLinear(nn.Linear):
    """A linear layer in float32 whose weight the file keeps in another form."""

    def __init__(self, weight: Tensor, bias: Tensor | None, storage: Storage) -> None:
        outputs, inputs = weight.shape
        super().__init__(inputs, outputs, bias=bias is not None, device="meta")
        _fill(self, weight, bias)
        self.storage = storage


def _fill(linear: nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)


def store_as(module: nn.Module, spec_of: Callable[[str], LinearSpec]) -> None:
    """Turn layers of the schemes ``fp16``, ``w8`` and ``w4`` into such linear layers.

    What they compute in eager torch stays. Integers in groups become plain float32
    weights, since XNNPACK has no kernel that takes them with float activations.

    Args:
        module: Compressed; changed in place.
        spec_of: What the recipe says of a layer, by its name in ``module``.
    """
    replaced = {
        linear: stored
        for name, linear in module.named_modules()
        if type(linear) is nn.Linear and (stored := _stored(linear, spec_of(name))) is not None
    }
    # Wherever they stand: a shared layer has several places.
    for place, found in list(module.named_modules(remove_duplicate=False)):
        if found in replaced:
            module.set_submodule(place, replaced[found])


def _stored(linear: nn.Linear, spec: LinearSpec) -> nn.Linear | None:
    """The same layer in the form that ``spec`` asks for; ``None`` to leave it."""
    bias = None if linear.bias is None else linear.bias.detach()
    if spec.scheme == "fp16":
        return StoredLinear(linear.weight.detach(), bias, Storage(16))
    quantized: Any = linear.weight
    if spec.scheme not in ("w4", "w8") or not hasattr(quantized, "qdata"):
        return None
    weight = quantized.dequantize().detach().to(torch.float32)
    if quantized.scale.shape[1] != 1:
        plain = nn.Linear(linear.in_features, linear.out_features, bias is not None, device="meta")
        _fill(plain, weight, bias)
        return plain
    scales = quantized.scale.detach().reshape(-1).to(torch.float32)
    return StoredLinear(weight, bias, Storage(4 if spec.scheme == "w4" else 8, scales))


def storages_of(module: nn.Module) -> dict[str, Storage]:
    """Forms of a module's weights, by the name of the weight."""
    return {
        f"{name}.weight": part.storage
        for name, part in module.named_modules(remove_duplicate=False)
        if isinstance(part, StoredLinear)
    }


@contextmanager
def storing(module: nn.Module) -> Iterator[None]:
    """While a module is serialized, write its weights in the forms that they have.

    The backend has no argument for that, so its visitor of linear layers is exchanged.
    """
    storages, usual = storages_of(module), xnnpack_preprocess.get_node_visitors

    def visitors(*arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = usual(*arguments)
        found[_LINEAR] = _StoringVisitor(found[_LINEAR], storages, *arguments)
        return found

    xnnpack_preprocess.get_node_visitors = visitors
    try:
        yield
    finally:
        xnnpack_preprocess.get_node_visitors = usual


class _StoringVisitor(node_visitor.NodeVisitor):  # type: ignore[misc]
    """Defines stored weights itself, and leaves the rest to ExecuTorch's own visitor."""

    def __init__(self, usual: Any, storages: Mapping[str, Storage], *arguments: Any) -> None:
        super().__init__(*arguments)
        self.usual = usual
        self.storages = storages

    def define_node(
        self, node: Node, xnn_graph: XNNGraph, vals_to_ids: dict[Node, int], debug_handle: int
    ) -> None:
        """Write a linear layer to the graph."""
        weight = node.all_input_nodes[1]
        storage = None
        if weight.op == "placeholder":
            storage = self.storages.get(get_tensor_name(self.exported_program, weight))
        if storage is not None and weight not in vals_to_ids:
            value = get_param_tensor(self.exported_program, weight)
            vals_to_ids[weight] = self._define_weight(value, storage, xnn_graph)
        self.usual.define_node(node, xnn_graph, vals_to_ids, debug_handle)
        if storage is not None and storage.scales is not None:
            _add_bias_apart(xnn_graph)

    def _define_weight(self, weight: Tensor, storage: Storage, graph: XNNGraph) -> int:
        value = XNNTensorValue(
            datatype=_DATATYPES[storage.bits],
            num_dims=weight.dim(),
            dims=list(weight.shape),
            constant_buffer_idx=self._add_data(storage.encode(weight), graph),
            external_id=XNN_INVALID_VALUE_ID,
            flags=0,
            id_out=len(graph.xvalues),
        )
        union: Any = value
        if storage.scales is not None:
            union = XNNQuantizedTensorValue(value, self._scales(storage.scales, graph))
        graph.xvalues.append(XValue(xvalue_union=union))
        return int(value.id_out)

    def _scales(self, scales: Tensor, graph: XNNGraph) -> PerChannelQuant:
        return PerChannelQuant(
            scale=[],
            channel_dim=0,
            scale_buffer_idx=self._add_data(scales, graph, "scale_"),
            num_scales=scales.numel(),
        )

    def _add_data(self, data: Tensor, graph: XNNGraph, prefix: str = "") -> int:
        """Add constant bytes under a hash of them; their index in the graph."""
        raw = data.contiguous().numpy().tobytes()
        key = prefix + hashlib.sha256(raw).hexdigest()
        graph.constant_data.append(
            ConstantDataOffset(offset=UINT64_MAX, size=len(raw), named_key=key)
        )
        self._named_data_store.add_named_data(key, raw, CONSTANT_TENSOR_ALIGNMENT, None)
        return len(graph.constant_data) - 1


def _add_bias_apart(graph: XNNGraph) -> None:
    """Take the bias out of the fully connected node written last, and add it after it.

    XNNPACK multiplies a bias by the weights' scale where weights are integers and
    activations are not.
    """
    node = graph.xnodes[-1]
    linear = node.xnode_union
    if linear.bias_id == XNN_INVALID_VALUE_ID:
        return
    output = graph.xvalues[linear.output_id].xvalue_union
    between = XNNTensorValue(
        datatype=output.datatype,
        num_dims=output.num_dims,
        dims=output.dims,
        constant_buffer_idx=0,
        external_id=XNN_INVALID_VALUE_ID,
        flags=0,
        id_out=len(graph.xvalues),
    )
    graph.xvalues.append(XValue(xvalue_union=between))
    add = XNNAdd(
        input1_id=between.id_out, input2_id=linear.bias_id, output_id=linear.output_id, flags=0
    )
    graph.xnodes.append(
        XNode(xnode_union=add, debug_handle=node.debug_handle, output_min_max=node.output_min_max)
    )
    linear.output_id, linear.bias_id = between.id_out, XNN_INVALID_VALUE_ID
    node.output_min_max = None
