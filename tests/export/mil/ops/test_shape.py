"""Shapes, slices, gathers and scatters beside torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from slmdeploy.export.coreml.shim import coremltools
from tests.export.mil.programs import assert_same, both

mb = coremltools.converters.mil.Builder
random = np.random.default_rng(0)
INPUTS = {
    "x": random.normal(size=(2, 3, 4)).astype(np.float32),
    "u": random.normal(size=(2, 3, 2)).astype(np.float32),
    "i": np.array([2, 0], np.int32),
    "at": np.array([1], np.int32),
}
PAIRS = np.array([[1, 2], [0, 0]], np.int32)
ALONG = random.integers(0, 3, (2, 2, 4)).astype(np.int32)


def set_to(x, index, value):
    made = x.clone()
    made[index] = value
    return made


CASES = {
    "reshape": (
        lambda x, u, i, at: mb.reshape(x=x, shape=[0, -1]),
        lambda x, u, i, at: x.reshape(3, 8),
    ),
    "squeeze": (
        lambda x, u, i, at: mb.squeeze(x=mb.expand_dims(x=x, axes=[0, 2]), axes=[2]),
        lambda x, u, i, at: x[None],
    ),
    "transpose": (
        lambda x, u, i, at: mb.transpose(x=x, perm=[2, 0, 1]),
        lambda x, u, i, at: x.permute(2, 0, 1),
    ),
    "tile": (
        lambda x, u, i, at: mb.tile(x=x, reps=[1, 2, 3]),
        lambda x, u, i, at: x.repeat(1, 2, 3),
    ),
    "concat": (
        lambda x, u, i, at: mb.concat(values=[x, u], axis=-1),
        lambda x, u, i, at: torch.cat([x, u], -1),
    ),
    "concat interleaved": (
        lambda x, u, i, at: mb.concat(values=[x, mb.mul(x=x, y=2.0)], axis=1, interleave=True),
        lambda x, u, i, at: torch.stack([x, 2 * x], 2).reshape(2, 6, 4),
    ),
    "split": (
        lambda x, u, i, at: mb.split(x=x, num_splits=2, axis=-1),
        lambda x, u, i, at: x.chunk(2, -1),
    ),
    "split by sizes": (
        lambda x, u, i, at: mb.split(x=x, split_sizes=[1, 3], axis=2),
        lambda x, u, i, at: x.split([1, 3], 2),
    ),
    "stack": (
        lambda x, u, i, at: mb.stack(values=[x, x], axis=1),
        lambda x, u, i, at: torch.stack([x, x], 1),
    ),
    "pad": (
        lambda x, u, i, at: mb.pad(x=x, pad=[1, 0, 2, 1], mode="constant", constant_val=3.0),
        lambda x, u, i, at: functional.pad(x, (2, 1, 1, 0), value=3.0),
    ),
    "pad by reflection": (
        lambda x, u, i, at: mb.pad(x=x, pad=[0, 0, 2, 1], mode="reflect"),
        lambda x, u, i, at: functional.pad(x, (2, 1), mode="reflect"),
    ),
    "pad by repetition": (
        lambda x, u, i, at: mb.pad(x=x, pad=[0, 0, 2, 1], mode="replicate"),
        lambda x, u, i, at: functional.pad(x, (2, 1), mode="replicate"),
    ),
    "band_part": (
        lambda x, u, i, at: mb.band_part(x=x, lower=0, upper=1),
        lambda x, u, i, at: x.triu(0).tril(1),
    ),
    "band_part of all above": (
        lambda x, u, i, at: mb.band_part(x=x, lower=0, upper=-1),
        lambda x, u, i, at: x.triu(0),
    ),
    "one_hot": (
        lambda x, u, i, at: mb.one_hot(indices=i, one_hot_vector_size=4, axis=-1),
        lambda x, u, i, at: functional.one_hot(i.long(), 4),
    ),
    "fill": (
        lambda x, u, i, at: mb.fill(shape=[2, 3], value=1.5),
        lambda x, u, i, at: torch.full((2, 3), 1.5),
    ),
    "fill_like": (
        lambda x, u, i, at: mb.fill_like(ref_tensor=u, value=2.5),
        lambda x, u, i, at: torch.full_like(u, 2.5),
    ),
    "range_1d": (
        lambda x, u, i, at: mb.range_1d(start=1, end=mb.squeeze(x=mb.add(x=at, y=6)), step=2),
        lambda x, u, i, at: torch.arange(1, 7, 2),
    ),
    "reverse": (lambda x, u, i, at: mb.reverse(x=x, axes=[0, 2]), lambda x, u, i, at: x.flip(0, 2)),
    "shape": (lambda x, u, i, at: mb.shape(x=x), lambda x, u, i, at: torch.tensor(x.shape)),
    "slice_by_index": (
        lambda x, u, i, at: mb.slice_by_index(
            x=x,
            begin=[0, -2, 1],
            end=[0, 3, 0],
            stride=[1, 1, 2],
            begin_mask=[True, False, False],
            end_mask=[False, False, True],
            squeeze_mask=[True, False, False],
        ),
        lambda x, u, i, at: x[0, -2:3, 1::2],
    ),
    "slice_by_index backwards": (
        lambda x, u, i, at: mb.slice_by_index(
            x=x,
            begin=[0, 0, 3],
            end=[2, 3, 0],
            stride=[1, 1, -1],
            end_mask=[False, False, False],
        ),
        lambda x, u, i, at: x[:, :, 1:].flip(2),
    ),
    "slice_by_size at run time": (
        lambda x, u, i, at: mb.slice_by_size(
            x=x,
            begin=mb.concat(values=[np.array([0], np.int32), at, np.array([2], np.int32)], axis=0),
            size=[2, 1, -1],
        ),
        lambda x, u, i, at: x[:, 1:2, 2:],
    ),
    "slice_update": (
        lambda x, u, i, at: mb.slice_update(x=x, update=u, begin=[0, 0, 1], end=[2, 3, 3]),
        lambda x, u, i, at: set_to(x, np.s_[:, :, 1:3], u),
    ),
    "gather": (
        lambda x, u, i, at: mb.gather(x=x, indices=i, axis=1),
        lambda x, u, i, at: x[:, i.long()],
    ),
    "gather with batches": (
        lambda x, u, i, at: mb.gather(
            x=x, indices=np.array([[0, 2], [1, 1]], np.int32), axis=1, batch_dims=1
        ),
        lambda x, u, i, at: torch.stack([x[0, [0, 2]], x[1, [1, 1]]]),
    ),
    "gather_nd": (
        lambda x, u, i, at: mb.gather_nd(x=x, indices=PAIRS),
        lambda x, u, i, at: x[[1, 0], [2, 0]],
    ),
    "gather_nd with batches": (
        lambda x, u, i, at: mb.gather_nd(x=x, indices=PAIRS, batch_dims=1),
        lambda x, u, i, at: x[[0, 1], [1, 0], [2, 0]],
    ),
    "gather_along_axis": (
        lambda x, u, i, at: mb.gather_along_axis(x=x, indices=ALONG, axis=1),
        lambda x, u, i, at: x.gather(1, torch.from_numpy(ALONG).long()),
    ),
    "scatter_nd": (
        lambda x, u, i, at: mb.scatter_nd(
            data=x, indices=PAIRS, updates=np.ones((2, 4), np.float32), mode="update"
        ),
        lambda x, u, i, at: set_to(x, ([1, 0], [2, 0]), 1.0),
    ),
    "scatter adding": (
        lambda x, u, i, at: mb.scatter(
            data=x, indices=i, updates=np.ones((2, 2, 4), np.float32), axis=1, mode="add"
        ),
        lambda x, u, i, at: x.index_add(1, i.long(), torch.ones(2, 2, 4)),
    ),
    "scatter_along_axis": (
        lambda x, u, i, at: mb.scatter_along_axis(
            data=x,
            indices=np.array([[[0, 2, 1, 0]], [[2, 2, 0, 1]]], np.int32),
            updates=np.full((2, 1, 4), 7.0, np.float32),
            axis=1,
            mode="update",
        ),
        lambda x, u, i, at: x.scatter(1, torch.tensor([[[0, 2, 1, 0]], [[2, 2, 0, 1]]]), 7.0),
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return both(CASES, INPUTS, tmp_path_factory.mktemp("shape"))


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_torch_does(results, name):
    assert_same(results[name])
