from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.compress import palette
from slmdeploy.compress.palette import check_channels, nearest, palettize
from slmdeploy.compress.parts import dense
from slmdeploy.compress.recipe import PaletteSpec
from slmdeploy.errors import RecipeError


def weights(*shape: int) -> torch.Tensor:
    return 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def squared_error(weight: torch.Tensor, spec: PaletteSpec) -> float:
    return float((dense(palettize(weight, spec)) - weight).pow(2).sum())


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("channels", [None, 4])
@pytest.mark.parametrize("method", ["kmeans", "uniform"])
def test_each_weight_is_the_nearest_entry_of_its_table(bits, channels, method):
    weight = weights(16, 64)
    parts = palettize(weight, PaletteSpec(bits=bits, channels=channels, method=method))
    tables = 1 if channels is None else 4
    assert parts.table.shape == (tables, 2**bits)
    assert int(parts.values.max()) < 2**bits
    rows = weight.reshape(tables, -1)
    closest = (rows[..., None] - parts.table[:, None]).abs().amin(dim=-1)
    assert torch.equal((dense(parts).reshape(tables, -1) - rows).abs(), closest)


def test_entries_are_float16_values_in_ascending_order():
    table = palettize(weights(16, 64), PaletteSpec(bits=4, channels=4)).table
    assert torch.equal(table, table.half().float())
    assert (table.diff(dim=1) >= 0).all()


def test_k_means_errs_less_than_equal_steps_and_no_more_than_scikit_learn():
    sklearn = pytest.importorskip("sklearn.cluster")
    weight = weights(32, 64)
    found = squared_error(weight, PaletteSpec(bits=4))
    theirs = sklearn.KMeans(16, n_init=10, random_state=0).fit(weight.reshape(-1, 1).numpy())
    assert found <= 1.02 * theirs.inertia_
    assert found < 0.8 * squared_error(weight, PaletteSpec(bits=4, method="uniform"))


def test_more_tables_err_less():
    weight = weights(32, 64) * torch.linspace(0.1, 4, 32)[:, None]
    errors = [squared_error(weight, PaletteSpec(bits=3, channels=c)) for c in (None, 8, 1)]
    assert errors == sorted(errors, reverse=True)


def test_few_values_are_found_exactly():
    weight = torch.tensor([[-1.0, 0.5, 0.5, 2.0], [0.5, 2.0, -1.0, -1.0]])
    assert torch.equal(dense(palettize(weight, PaletteSpec(bits=2))), weight)
    same = torch.full((2, 4), 0.25)
    assert torch.equal(dense(palettize(same, PaletteSpec(bits=4))), same)
    assert torch.equal(dense(palettize(torch.zeros(2, 4), PaletteSpec(bits=2))), torch.zeros(2, 4))


def test_a_table_of_integers_has_one_scale_a_table():
    parts = palettize(weights(16, 64), PaletteSpec(bits=4, channels=4, table="int8"), half=True)
    assert torch.equal(parts.table, parts.table.round())
    assert parts.table.abs().amax(dim=1).tolist() == [127.0] * 4
    assert parts.scales.shape == (4, 1)
    assert torch.equal(parts.scales, parts.scales.half().float())


def test_zeros_that_were_left_out_get_no_entry():
    weight = weights(16, 64)
    weight[weight.abs() < 0.04] = 0
    parts = palettize(weight, PaletteSpec(bits=2, channels=8), sparse=True)
    assert parts.sparse
    assert parts.table.abs().min() >= 0.039
    empty = palettize(torch.zeros(4, 4), PaletteSpec(bits=2), sparse=True)
    assert torch.equal(dense(empty), torch.zeros(4, 4))


def test_the_same_weights_give_the_same_palette():
    first, second = (palettize(weights(16, 64), PaletteSpec(bits=4)) for _ in range(2))
    assert torch.equal(first.table, second.table)
    assert torch.equal(first.values, second.values)


@given(
    table=st.lists(st.integers(-4, 4), min_size=1, max_size=6).map(sorted),
    values=st.lists(st.integers(-6, 6), min_size=1, max_size=9),
)
def test_of_entries_at_equal_distance_the_first_is_taken(table, values):
    entries, given_values = torch.tensor([table]).float(), torch.tensor([values]).float()
    expected = (given_values[..., None] - entries[:, None]).abs().argmin(dim=-1)
    assert torch.equal(nearest(given_values, entries).long(), expected)


def test_rows_that_do_not_divide_into_tables_are_refused():
    with pytest.raises(RecipeError, match=r"'head' has 50 rows.*tables for 16"):
        check_channels("head", 50, PaletteSpec(bits=4, channels=16))


def test_a_weight_beyond_float16_is_refused():
    with pytest.raises(RecipeError, match="beyond float16"):
        palettize(torch.tensor([[1e6, 0.0]]), PaletteSpec(bits=2))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_table_for_many_weights_is_that_of_all_sums_kept(sparse, monkeypatch):
    weight = weights(12, 333)
    weight[weight.abs() < 0.01] = 0
    spec = PaletteSpec(bits=4)
    few = palettize(weight, spec, sparse=sparse)
    monkeypatch.setattr(palette, "_TABLES_AT_ONCE", 1000)
    monkeypatch.setattr(palette, "_VALUES_AT_ONCE", 500)
    many = palettize(weight, spec, sparse=sparse)
    assert torch.equal(few.table, many.table)
    assert torch.equal(few.values, many.values)


@pytest.mark.slow
def test_the_embedding_of_the_demo_takes_little_beside_its_weights():
    program = (
        "import resource, torch\n"
        "from slmdeploy.compress.palette import palettize\n"
        "from slmdeploy.compress.recipe import PaletteSpec\n"
        "weight = torch.randn(49152, 576, generator=torch.Generator().manual_seed(0))\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak()\n"
        "palettize(weight, PaletteSpec(bits=8))\n"
        "print((peak() - before) / weight.nbytes)\n"
    )
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 5
