from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from slmdeploy.compress.embedding import (
    HalfEmbedding,
    QuantizedEmbedding,
    compress_embedding,
    looked_up,
    pack,
    symmetric,
)
from slmdeploy.compress.recipe import EmbeddingSpec
from slmdeploy.errors import RecipeError

CONTAINERS = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 8: 8}
BITS = st.sampled_from(sorted(CONTAINERS))
GROUPS = st.sampled_from([None, 8, 16])


def weights(rows: int = 6, columns: int = 16):
    """Tables, rows of zeros and of one sign among them."""
    values = st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
    return arrays.arrays(np.float32, (rows, columns), elements=values)


def read_packed(table: np.ndarray, container: int) -> np.ndarray:
    """The integers of a packed table, read byte by byte."""
    if container == 8:
        return table.astype(np.int64)
    shifts = {4: (4, 0), 2: (0, 2, 4, 6)}[container]
    mask, middle = 2**container - 1, 2 ** (container - 1)
    rows = [
        [((byte >> shift) & mask) - middle for byte in row for shift in shifts]
        for row in table.tolist()
    ]
    return np.array(rows)


def read_rows(module: QuantizedEmbedding) -> np.ndarray:
    """All rows of a table as its integers and scales stand for them."""
    values = read_packed(module.table.numpy(), module.container)
    scales = module.scales.numpy()
    return (values.reshape(*scales.shape, -1) * scales[..., None]).reshape(values.shape)


@given(st.sampled_from([2, 4, 8]), st.data())
def test_packed_integers_read_back(container, data):
    low, high = -(2 ** (container - 1)), 2 ** (container - 1) - 1
    values = data.draw(arrays.arrays(np.int8, (3, 8), elements=st.integers(low, high)))
    packed = pack(torch.from_numpy(values), container).numpy()
    assert packed.nbytes == 3 * 8 * container // 8
    assert read_packed(packed, container).tolist() == values.tolist()


@given(weights(), BITS, st.sampled_from([4, 8, 16]))
def test_integers_stay_in_range_and_near_what_they_stand_for(table, bits, group):
    values, scales = symmetric(torch.from_numpy(table), bits, group)
    values, scales = values.numpy().astype(np.float64), scales.numpy().astype(np.float64)
    top = 2 ** (bits - 1) - 1
    assert -top - 1 <= values.min() <= values.max() <= top
    meant = values.reshape(6, -1, group) * scales[..., None]
    off = np.abs(meant - table.reshape(6, -1, group))
    # With two bits, a positive extreme has no value of its own: it is off by a whole step.
    steps = 1.0 if bits == 2 else 0.5
    assert (off <= scales[..., None] * (steps + 1e-4)).all()


@settings(deadline=None)
@given(weights(), BITS, GROUPS, st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_rows_are_gathered_as_a_plain_reading_of_the_bytes_says(table, bits, group, tokens):
    module = QuantizedEmbedding(torch.from_numpy(table), EmbeddingSpec(bits=bits, group_size=group))
    assert module.container == CONTAINERS[bits]
    found = module(torch.tensor([tokens]))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found[0].numpy(), read_rows(module)[tokens].astype(np.float32))


def test_a_row_of_zeros_stays_zeros():
    module = QuantizedEmbedding(torch.zeros(2, 8), EmbeddingSpec(bits=4))
    assert module(torch.tensor([0, 1])).tolist() == [[0.0] * 8] * 2


@pytest.mark.parametrize(
    ("bits", "size"), [(8, 64), (7, 64), (5, 64), (4, 32), (3, 32), (2, 16), (16, 128)]
)
def test_a_row_of_64_takes_the_bytes_of_its_container(bits, size):
    module = compress_embedding(nn.Embedding(10, 64), EmbeddingSpec(bits=bits))
    table = module.get_buffer("table")
    assert table.numel() * table.element_size() == 10 * size


def test_more_bits_come_nearer():
    table = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(50)
    off = [
        float((QuantizedEmbedding(table, EmbeddingSpec(bits=bits))(tokens) - table).norm())
        for bits in range(2, 9)
    ]
    assert off == sorted(off, reverse=True)


@pytest.mark.parametrize(("columns", "group"), [(24, 16), (18, None), (64, 48)])
def test_rows_that_do_not_divide_are_refused(columns, group):
    with pytest.raises(RecipeError, match=f"rows of {columns} values") as caught:
        QuantizedEmbedding(torch.zeros(2, columns), EmbeddingSpec(bits=4, group_size=group))
    assert "group_size" in caught.value.hint


def test_float16_rows_are_the_nearest_ones():
    table = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    rows = HalfEmbedding(table)(torch.tensor([[3, 1]]))
    assert rows.dtype == torch.float32
    assert torch.equal(rows[0], table[[3, 1]].half().float())


def test_rows_beyond_float16_are_refused():
    with pytest.raises(RecipeError, match=r"value of 7e\+04"):
        HalfEmbedding(torch.full((1, 4), 70000.0))


def test_32_bits_leave_the_table_alone():
    table = nn.Embedding(4, 8)
    assert compress_embedding(table, EmbeddingSpec()) is table


@pytest.mark.parametrize(
    ("bits", "group"), [(8, None), (6, 16), (4, None), (4, 16), (3, 8), (2, 8)]
)
def test_plain_torch_reads_the_rows_that_the_operators_read(bits, group):
    weight = torch.randn(20, 32, generator=torch.Generator().manual_seed(1))
    table = QuantizedEmbedding(weight, EmbeddingSpec(bits=bits, group_size=group))
    tokens = torch.tensor([[3, 0, 19]])
    plain = looked_up(table.table[tokens], table.scales[tokens], table.container)
    assert bool((plain == table(tokens)).all())
