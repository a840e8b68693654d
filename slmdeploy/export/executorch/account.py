"""Where the bytes of an artifact are, and what memory its runner will need."""

from __future__ import annotations

from collections.abc import Iterable

from executorch.exir.lowered_backend_module import LoweredBackendModule
from torch import Tensor, nn

from slmdeploy.compress.recipe import LinearSpec, Recipe
from slmdeploy.export.artifact import ByteRow, MemoryInfo
from slmdeploy.export.executorch.lowering import LoweredStage
from slmdeploy.export.executorch.sizes import RUNNER_BYTES, linear_bytes
from slmdeploy.export.executorch.storage import StoredLinear
from slmdeploy.model.decoder import Decoder, Layer

__all__ = [
    "bytes_by_component",
    "bytes_in_delegates",
    "delegate_bytes",
    "packed_bytes",
    "predict_memory",
]


def _layer_bytes(layer: Layer, spec: LinearSpec) -> tuple[int, int]:
    """Attention and feed-forward weights of a layer."""

    def size(linear: nn.Linear) -> int:
        bias = 0 if linear.bias is None else 4 * linear.out_features
        return bias + linear_bytes(linear.out_features, linear.in_features, spec)

    return size(layer.qkv) + size(layer.o), size(layer.gate_up) + size(layer.down)


def _nbytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def bytes_in_delegates(stages: Iterable[LoweredStage]) -> tuple[int, int]:
    """Bytes of the delegates' constants, each once, and of their graphs."""
    return delegate_bytes(stage.delegate for stage in stages)


def delegate_bytes(delegates: Iterable[LoweredBackendModule]) -> tuple[int, int]:
    """As ``bytes_in_delegates``, for delegates outside of any stage."""
    constants: dict[str, int] = {}
    graphs: dict[bytes, int] = {}
    for delegate in delegates:
        graphs[delegate.processed_bytes] = len(delegate.processed_bytes)
        output = delegate.named_data_store_output
        for key, entry in output.pte_data.items() if output is not None else ():
            constants[key] = len(output.buffers[entry.buffer_index])
    return sum(constants.values()), sum(graphs.values())


def bytes_by_component(
    decoder: Decoder, recipe: Recipe, stages: list[LoweredStage], total: int
) -> tuple[ByteRow, ...]:
    """Rows that add up to the size of the file."""
    sizes = [_layer_bytes(layer, recipe.body) for layer in decoder.layer_list()]
    head = linear_bytes(decoder.head.out_features, decoder.head.in_features, recipe.head_spec)
    attention, mlp = (sum(column) for column in zip(*sizes, strict=True))
    constants, graphs = bytes_in_delegates(stages)
    rows = {
        "embedding": _nbytes([*decoder.embedding.parameters(), *decoder.embedding.buffers()]),
        "attention weights": attention,
        "feed-forward weights": mlp,
        "head": head,
        "norms and other constants": max(0, constants - attention - mlp - head),
        "rotary tables": _nbytes([decoder.cos, decoder.sin]),
        "delegate graphs": graphs,
    }
    rest = total - sum(rows.values())
    named = [*rows.items(), ("program and padding", rest)]
    return tuple(ByteRow(component=name, bytes=size) for name, size in named)


def packed_bytes(module: nn.Module, delegated: int) -> int:
    """Bytes of the delegates' weights as XNNPACK packs them, at the peak of the loading.

    float16 weights are widened to float32, in a copy that lives until its layer is packed;
    all others keep their size.
    """
    halves = [
        part.weight.numel()
        for part in module.modules()
        if isinstance(part, StoredLinear) and part.storage.bits == 16
    ]
    return delegated + 2 * sum(halves) + 4 * max(halves, default=0)


def predict_memory(*, planned: int, artifact: int, delegated: int, packed: int) -> MemoryInfo:
    """Estimate the runner's peak resident set, at the full context.

    XNNPACK packs a copy of the delegates' weights, once for both methods; the runner lets
    the pages of the file go that these were read from. For the 135M demo model in 4 bits
    with a context of 2048 this gives 229 MiB where 215 MiB were measured.

    Args:
        planned: Memory plans, the cache among them.
        artifact: Size of the file.
        delegated: Weights in the file that delegates own.
        packed: The same weights as XNNPACK packs them.
    """
    return MemoryInfo(
        planned=planned,
        predicted_peak=RUNNER_BYTES + (artifact - delegated) + packed + planned,
        method="runner + file without delegated weights + weights as packed + memory plan",
    )
