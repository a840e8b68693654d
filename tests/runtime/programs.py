"""Small .pte files with random weights, made once a session by ``conftest.py``.

The decoder is as small as the protocol allows and keeps its cache in mutable buffers that
``prefill`` and ``decode`` share; ``reference`` computes the same in numpy-sized torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS, KV_HEADS, HEAD_DIM, HIDDEN, VOCAB = 4, 2, 8, 32, 61
CONTEXT, CAPACITY, CHUNK = 40, 44, 8


class Attention(nn.Module):
    """Grouped-query attention over a cache of its own."""

    def __init__(self, kernels: str) -> None:
        super().__init__()
        self.kernels = kernels
        self.query = nn.Linear(HIDDEN, HEADS * HEAD_DIM, bias=False)
        self.key = nn.Linear(HIDDEN, KV_HEADS * HEAD_DIM, bias=False)
        self.value = nn.Linear(HIDDEN, KV_HEADS * HEAD_DIM, bias=False)
        self.out = nn.Linear(HEADS * HEAD_DIM, HIDDEN, bias=False)
        for name in ("keys", "values"):
            shape = (1, CAPACITY, KV_HEADS) if kernels == "llm" else (KV_HEADS, CAPACITY)
            empty = torch.zeros(*shape, HEAD_DIM)
            self.register_buffer(name, empty, persistent=False)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        length = x.shape[0]
        q = self.query(x).view(1, length, HEADS, HEAD_DIM)
        k = self.key(x).view(1, length, KV_HEADS, HEAD_DIM)
        v = self.value(x).view(1, length, KV_HEADS, HEAD_DIM)
        attend = self.custom if self.kernels == "llm" else self.portable
        return self.out(attend(q, k, v, position).reshape(length, -1))

    def custom(self, q: Tensor, k: Tensor, v: Tensor, position: Tensor) -> Tensor:
        start = position[0].item()
        torch._check(start >= 0)
        torch._check(start + q.shape[1] <= CAPACITY)
        torch.ops.llama.update_cache(k, self.keys, start)
        torch.ops.llama.update_cache(v, self.values, start)
        causal = True
        return torch.ops.llama.custom_sdpa(
            q, self.keys, self.values, start, None, 0.0, causal, None
        )

    def portable(self, q: Tensor, k: Tensor, v: Tensor, position: Tensor) -> Tensor:
        places = position + torch.arange(q.shape[1])
        self.keys[:, places] = k[0].transpose(0, 1)
        self.values[:, places] = v[0].transpose(0, 1)
        seen = torch.arange(CAPACITY)[None] <= places[:, None]
        mask = torch.where(seen, 0.0, -1e9)
        group = HEADS // KV_HEADS
        keys = self.keys.repeat_interleave(group, 0)
        values = self.values.repeat_interleave(group, 0)
        scores = q[0].transpose(0, 1) @ keys.transpose(1, 2) / math.sqrt(HEAD_DIM) + mask
        return (scores.softmax(-1) @ values).transpose(0, 1)


class Decoder(nn.Module):
    """Embeddings of tokens and places, attention and a linear layer, no norm."""

    def __init__(self, kernels: str, layers: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCAB, HIDDEN)
        self.places = nn.Embedding(CAPACITY, HIDDEN)
        self.attention = nn.ModuleList(Attention(kernels) for _ in range(layers))
        self.mlp = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN, bias=False) for _ in range(layers))
        self.head = nn.Linear(HIDDEN, VOCAB, bias=False)

    def hidden(self, tokens: Tensor, position: Tensor) -> Tensor:
        places = position + torch.arange(tokens.shape[1])
        x = self.tokens(tokens)[0] + self.places(places)
        for attention, mlp in zip(self.attention, self.mlp, strict=True):
            x = x + attention(x, position)
            x = x + functional.silu(mlp(x))
        return x


class Decode(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        return self.decoder.head(self.decoder.hidden(tokens, position))


class PrefillLast(Decode):
    def forward(self, tokens: Tensor, position: Tensor, last: Tensor) -> Tensor:
        return self.decoder.head(self.decoder.hidden(tokens, position).index_select(0, last))


class TwoOutputs(nn.Module):
    """The generic program: float32 [2, 3] and int64 [2] to their sum and the float doubled."""

    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        return x + n[:, None], x * 2.0


def make_decoder(kernels: str, layers: int = 2) -> Decoder:
    torch.manual_seed(7)
    return Decoder(kernels, layers).eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def reference(decoder: Decoder, tokens: list[int], prompt_length: int) -> Tensor:
    """Rows after the prompt and after each further token, without any cache."""
    x = decoder.tokens(torch.tensor(tokens)) + decoder.places.weight[: len(tokens)]
    for attention, mlp in zip(decoder.attention, decoder.mlp, strict=True):
        projected = (attention.query(x), attention.key(x), attention.value(x))
        heads = [t.view(len(tokens), -1, HEAD_DIM).transpose(0, 1)[None] for t in projected]
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)
        x = x + attention.out(mixed[0].transpose(0, 1).reshape(len(tokens), -1))
        x = x + functional.silu(mlp(x))
    return decoder.head(x)[prompt_length - 1 :]


def save_decoder(
    path: Path, kernels: str, *, layers: int = 2, logits: str = "last", chunked: bool = True
) -> Path:
    """Export ``decode`` and, when ``chunked``, ``prefill``; both share cache and weights."""
    import executorch.extension.llm.custom_ops.custom_ops  # noqa: F401

    decoder = make_decoder(kernels, layers)
    one, start = torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    chunk = torch.zeros(1, CHUNK, dtype=torch.long)
    methods: dict[str, Any] = {"decode": torch.export.export(Decode(decoder), (one, start))}
    if chunked and logits == "last":
        last = torch.zeros(1, dtype=torch.long)  # its own: export takes one tensor for one input
        methods["prefill"] = torch.export.export(PrefillLast(decoder), (chunk, start, last))
    elif chunked:
        methods["prefill"] = torch.export.export(Decode(decoder), (chunk, start))
    constants = {"get_context": CONTEXT, "get_capacity": CAPACITY, "get_vocab_size": VOCAB}
    return _lower(path, methods, constants | {"get_prefill_chunk": CHUNK})


def save_generic(path: Path) -> Path:
    inputs = (torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))
    return _lower(path, {"forward": torch.export.export(TwoOutputs(), inputs)}, {})


def _lower(path: Path, methods: dict[str, Any], constants: dict[str, Any]) -> Path:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass

    plan = MemoryPlanningPass(
        alloc_graph_input=False, alloc_graph_output=False, share_mutable_buffers=True
    )
    edge = to_edge_transform_and_lower(
        methods,
        partitioner={name: [XnnpackPartitioner()] for name in methods},
        constant_methods=constants or None,
    )
    program = edge.to_executorch(
        ExecutorchBackendConfig(memory_planning_pass=plan, run_reinplace_pass=True)
    )
    path.write_bytes(program.buffer)
    return path


@dataclass(frozen=True)
class Programs:
    """Where the programs are; ``all_rows`` and ``decode_only`` have one layer, others two."""

    llm: Path
    portable: Path
    all_rows: Path
    decode_only: Path
    generic: Path
