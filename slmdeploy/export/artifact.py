"""What an exporter gives: the runtime's file and what is known of it. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slmdeploy.model.sizes import Sizes, Varying

__all__ = ["Artifact", "ByteRow", "CacheInfo", "MemoryInfo", "MethodInfo", "TensorInfo"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorInfo(_Part):
    """A method's input or output; ``dtype`` is numpy's name (``float32``, ``int64``).

    Attributes:
        shape: Of the example inputs, and of what comes out for them.
        varying: Axes that may have other sizes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    varying: tuple[Varying, ...] = ()

    @property
    def shape_text(self) -> str:
        """As in ``[1, 1..16]``."""
        shown = [str(size) for size in self.shape]
        for one in self.varying:
            shown[one.axis] = f"{one.least}..{one.most}"
        return f"[{', '.join(shown)}]"


class MethodInfo(_Part):
    """A method of the artifact.

    Attributes:
        delegated_ops: Operators that run inside a delegate (XNNPACK); ``None`` where the
            runtime decides that on the device.
        total_ops: All operators of the method, inside and outside.
        delegates: Calls of a delegate in one run of the method; ``None`` as above.
        outside: Operators outside the delegates, by name, with their count.
        planned_bytes: Its memory plan, shared buffers included; ``None`` where the runtime
            plans on the device.
        operators: All operators by name, with the version that the file asks for, as in
            ``{"FULLY_CONNECTED": 5}``; empty where operators have no versions.
        states: Tensors that outlive a call and that all methods share (Core ML).
        length: Tokens of a text, where the artifact has a method for each of several lengths.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    delegated_ops: int | None
    total_ops: int
    delegates: int | None
    outside: dict[str, int] = Field(default_factory=dict)
    planned_bytes: int | None
    operators: dict[str, int] = Field(default_factory=dict)
    states: tuple[TensorInfo, ...] = ()
    length: int | None = None

    @property
    def sizes(self) -> Sizes:
        """The varying axes of each input; empty where all shapes are fixed."""
        found = tuple(one.varying for one in self.inputs)
        return found if any(found) else ()


class CacheInfo(_Part):
    """The KV cache: one pair of buffers a layer.

    Attributes:
        layout: Order of the dimensions, as in ``[1, context, kv_heads, head_dim]``.
        capacity: Tokens that the buffers hold; at least the context.
    """

    layout: str
    dtype: str
    layers: int
    capacity: int
    bytes: int


class MemoryInfo(_Part):
    """Memory on the device, in bytes.

    Attributes:
        planned: The memory plans of all methods that a run loads, shared buffers once;
            ``None`` where the runtime plans on the device.
        predicted_peak: An estimate of the peak resident set of the runner; ``None`` where none
            can be made.
        method: How it was estimated.
        reason: Why there is none.
    """

    planned: int | None
    predicted_peak: int | None
    method: str | None = None
    reason: str | None = None


class ByteRow(_Part):
    """A line of the table that says where the artifact's bytes are."""

    component: str
    bytes: int


class Artifact(_Part):
    """The runtime's file, and what the manifest will say of it.

    Attributes:
        path: The file.
        runtime: Which runtime takes it, as in ``executorch``.
        kernels: Which kernel set it needs beyond the runtime's own.
        backend: Who computes all of it, where that is not the runtime's usual: ``coreml``.
        bytes_by_component: Adds up to the size of the file.
        bytes_in_delegates: Weights and graphs that a delegate owns.
        versions: Packages that made it, with their versions.
        notes: What was decided in its making and is not to be seen from outside.
        same_bits: It is float32, and made of operators alone that give the same bits on every
            processor with fused multiply-add.
        traced: What the exported graphs gave in torch for the golden tokens, where the
            exporter was given some: float32 [T + 1, vocabulary]; of any other module the
            outputs, one method's after the other's. Neither it nor the path is part of the
            artifact's document.
    """

    path: Path = Field(exclude=True)
    runtime: str
    kernels: str | None
    backend: Literal["coreml"] | None = None
    methods: dict[str, MethodInfo]
    bytes_by_component: tuple[ByteRow, ...]
    bytes_in_delegates: int
    memory: MemoryInfo
    versions: dict[str, str]
    cache: CacheInfo | None = None
    notes: tuple[str, ...] = ()
    same_bits: bool = False
    context: int | None = None
    prefill_chunk: int | None = None
    logits: Literal["last", "all"] | None = None
    traced: Any = Field(default=None, exclude=True)
