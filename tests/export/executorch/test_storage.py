from __future__ import annotations

import numpy as np
import pytest
import torch
from executorch.backends.xnnpack import xnnpack_preprocess
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from slmdeploy.compress.quantize import compress_linears
from slmdeploy.compress.recipe import LinearSpec
from slmdeploy.export.executorch.sizes import linear_bytes
from slmdeploy.export.executorch.storage import (
    Storage,
    StoredLinear,
    storages_of,
    store_as,
    storing,
)

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 17))
GROUPED = LinearSpec(scheme="w4", group_size=32)


def integers(bits: int):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return SHAPES.flatmap(
        lambda shape: arrays.arrays(np.int8, shape, elements=st.integers(low, high))
    )


def scales_for(values: np.ndarray, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(len(values), generator=generator) * 0.3 + 1e-4


@settings(deadline=None)
@given(integers(8), st.integers(0, 99))
def test_8_bit_integers_come_back_from_what_they_stand_for(values, seed):
    scales = scales_for(values, seed)
    stored = Storage(8, scales).encode(torch.from_numpy(values) * scales[:, None])
    assert stored.dtype == torch.int8
    assert stored.numpy().tolist() == values.tolist()


@settings(deadline=None)
@given(integers(4), st.integers(0, 99))
def test_4_bit_integers_stand_in_pairs_the_first_in_the_low_half(values, seed):
    scales = scales_for(values, seed)
    stored = Storage(4, scales).encode(torch.from_numpy(values) * scales[:, None]).numpy()
    assert stored.dtype == np.uint8
    read = [
        [half - 8 for byte in row for half in (byte & 15, byte >> 4)] for row in stored.tolist()
    ]
    odd = values.shape[1] % 2
    assert [row[: len(row) - odd] for row in read] == values.tolist()
    assert all(row[-1] == 0 for row in read if odd)


@settings(deadline=None)
@given(SHAPES, st.sampled_from([16, 8, 4]))
def test_the_bytes_are_those_that_the_account_gives(shape, bits):
    scheme = {16: "fp16", 8: "w8", 4: "w4"}[bits]
    scales = None if bits == 16 else torch.ones(shape[0])
    parts = [Storage(bits, scales).encode(torch.ones(shape)), *([] if scales is None else [scales])]
    size = sum(part.numel() * part.element_size() for part in parts)
    assert size == linear_bytes(*shape, LinearSpec(scheme=scheme))


class Shared(nn.Module):
    """Two layers; one has a bias and stands in two places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = nn.Linear(64, 64), nn.Linear(64, 32, bias=False)
        self.again = self.one
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.again(self.one(x)))


def stored(spec: LinearSpec) -> tuple[Shared, torch.Tensor, torch.Tensor]:
    """A module stored as ``spec`` says, and what it gave before and gives after."""
    module, x = Shared(), torch.randn(3, 64, generator=torch.Generator().manual_seed(1))
    compress_linears(module, {"one": module.one, "other": module.other}, spec)
    before = module(x)
    store_as(module, lambda name: spec)
    return module, before, module(x)


@pytest.mark.parametrize("scheme", ["fp16", "w8", "w4"])
def test_a_stored_layer_computes_what_the_compressed_one_did_wherever_it_stands(scheme):
    module, before, after = stored(LinearSpec(scheme=scheme))
    assert torch.equal(before, after)
    assert module.again is module.one
    assert isinstance(module.one, StoredLinear)
    assert set(storages_of(module)) == {"one.weight", "again.weight", "other.weight"}


@pytest.mark.parametrize("scheme", ["w8", "w4"])
def test_the_stored_integers_are_those_of_torchao(scheme):
    spec, module = LinearSpec(scheme=scheme), Shared()
    compress_linears(module, {"other": module.other}, spec)
    integers = module.other.weight.qdata.clone()
    store_as(module, lambda name: spec if name == "other" else LinearSpec())
    weight, storage = module.other.weight, storages_of(module)["other.weight"]
    assert torch.equal((weight / storage.scales[:, None]).round().to(torch.int8), integers)
    assert set(storages_of(module)) == {"other.weight"}


def test_integers_in_groups_become_plain_float_weights():
    module, before, after = stored(GROUPED)
    assert torch.equal(before, after)
    assert storages_of(module) == {}
    assert [type(module.one.weight), type(module.other.weight)] == [nn.Parameter, nn.Parameter]
    assert linear_bytes(64, 64, GROUPED) == 4 * 64 * 64


@pytest.mark.parametrize("spec", [LinearSpec(), GROUPED, LinearSpec(scheme="w8")], ids=str)
def test_storing_twice_changes_nothing_more(spec):
    module, _, _ = stored(spec)
    parts = list(module.modules())
    store_as(module, lambda name: spec)
    assert list(module.modules()) == parts


def test_the_backend_is_itself_again_after_an_error():
    usual = xnnpack_preprocess.get_node_visitors

    def fail() -> None:
        with storing(Shared()):
            assert xnnpack_preprocess.get_node_visitors is not usual
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is ours
        fail()
    assert xnnpack_preprocess.get_node_visitors is usual
