"""What a compressed layer says it is made of is what it computes with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slmdeploy.compress.embedding import compress_embedding
from slmdeploy.compress.parts import WeightParts, dense, parts_of
from slmdeploy.compress.quantize import compress_linears
from slmdeploy.compress.recipe import EmbeddingSpec, LinearSpec, PaletteSpec, SparsitySpec

HALF, TWO_OF_FOUR = SparsitySpec(fraction=0.5), SparsitySpec(pattern="2:4")
PALETTE = PaletteSpec(bits=4, channels=8)
INT8_PALETTE = PaletteSpec(bits=3, table="int8")
SPECS = (
    LinearSpec(scheme="w8"),
    LinearSpec(scheme="w4"),
    LinearSpec(scheme="w4", group_size=32),
    LinearSpec(scheme="palette", palette=PALETTE),
    LinearSpec(scheme="palette", palette=INT8_PALETTE),
    LinearSpec(scheme="w8", sparsity=TWO_OF_FOUR),
    LinearSpec(scheme="w4", group_size=32, sparsity=HALF),
    LinearSpec(scheme="palette", palette=PALETTE, sparsity=HALF),
)


def compressed(spec: LinearSpec, *, half: bool = True) -> tuple[nn.Linear, torch.Tensor]:
    """A layer after a spec, and the weight that it computes with."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 32, bias=False).requires_grad_(requires_grad=False)
    module = nn.Sequential(layer)
    compress_linears(module, {"0": layer}, spec, half=half)
    return layer, module(torch.eye(64)).T


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_linear_layer_computes_what_its_parts_stand_for(spec):
    layer, weight = compressed(spec)
    parts = parts_of(layer)
    assert parts.bits == spec.bits
    assert parts.sparse == (spec.sparsity is not None)
    found = dense(parts)
    if parts.sparse:
        found = torch.where(weight == 0, 0.0, found)
        assert (weight == 0).float().mean() >= 0.5
    assert torch.equal(found, weight)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_scales_are_float16_values_where_that_is_asked_for(spec):
    scales = parts_of(compressed(spec)[0]).scales
    assert scales is None or torch.equal(scales, scales.half().float())
    if spec.palette is None:
        wide = parts_of(compressed(spec, half=False)[0]).scales
        assert not torch.equal(wide, wide.half().float())


@pytest.mark.parametrize(
    "spec",
    [
        EmbeddingSpec(bits=8),
        EmbeddingSpec(bits=3),
        EmbeddingSpec(bits=4, group_size=32),
        EmbeddingSpec(palette=PALETTE),
    ],
    ids=str,
)
def test_an_embedding_gives_the_rows_that_its_parts_stand_for(spec):
    torch.manual_seed(0)
    table = compress_embedding(nn.Embedding(40, 64), spec, half=True)
    assert torch.equal(dense(parts_of(table)), table(torch.arange(40)))
    assert parts_of(table).bits == spec.bits


def test_floats_have_no_parts_unless_they_are_sparse():
    assert parts_of(nn.Linear(4, 4)) is None
    assert parts_of(compressed(LinearSpec(scheme="fp16"))[0]) is None
    sparse = parts_of(compressed(LinearSpec(scheme="fp16", sparsity=HALF))[0])
    assert sparse.sparse
    assert dense(sparse) is None


def test_a_scale_stands_for_a_block_of_rows_and_columns():
    parts = WeightParts(
        bits=8,
        values=torch.ones(4, 4, dtype=torch.int8),
        scales=torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    )
    expected = [[1.0, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert dense(parts).tolist() == expected
