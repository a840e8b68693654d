from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.compress.recipe import SparsitySpec
from slmdeploy.compress.sparsity import check_pattern, kept_weights, pruned
from slmdeploy.errors import RecipeError


def weights(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@given(fraction=st.floats(0.01, 0.99), rows=st.integers(1, 9), columns=st.integers(1, 17))
def test_a_fraction_of_the_weights_goes_and_none_that_stays_is_smaller(fraction, rows, columns):
    weight = weights(rows, columns)
    kept = kept_weights(weight, SparsitySpec(fraction=fraction))
    assert int((~kept).sum()) == round(fraction * weight.numel())
    if kept.any() and not kept.all():
        assert weight[kept].abs().min() >= weight[~kept].abs().max()


@pytest.mark.parametrize(
    ("pattern", "kept", "block"), [("2:4", 2, 4), ("1:4", 1, 4), ("4:8", 4, 8)]
)
def test_of_each_block_along_the_inputs_the_largest_stay(pattern, kept, block):
    weight = weights(6, 32)
    mask = kept_weights(weight, SparsitySpec(pattern=pattern)).reshape(-1, block)
    blocks = weight.abs().reshape(-1, block)
    assert (mask.sum(dim=1) == kept).all()
    least_kept = blocks.masked_fill(~mask, torch.inf).amin(dim=1)
    assert (least_kept >= blocks.masked_fill(mask, 0).amax(dim=1)).all()


def test_what_stays_keeps_its_value():
    weight, spec = weights(4, 8), SparsitySpec(pattern="2:4")
    kept = kept_weights(weight, spec)
    assert torch.equal(pruned(weight, spec)[kept], weight[kept])
    assert (pruned(weight, spec)[~kept] == 0).all()


def test_a_pattern_that_does_not_divide_the_inputs_is_refused():
    with pytest.raises(RecipeError, match=r"'o' has 30 inputs.*blocks of 4"):
        check_pattern("o", 30, SparsitySpec(pattern="2:4"))
    check_pattern("o", 30, SparsitySpec(fraction=0.5))
    check_pattern("o", 30, None)
