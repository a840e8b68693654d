"""Compressed weights beside what coremltools itself expands them to, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.export.coreml.shim import coremltools
from slmdeploy.export.mil.evaluate import Evaluator
from tests.export.mil.programs import saved

mb = coremltools.converters.mil.Builder
random = np.random.default_rng(0)
ROWS, COLUMNS = 8, 12
X = {"x": np.eye(COLUMNS, dtype=np.float32)}


def typed(values, name):
    from coremltools.converters.mil.mil import types

    return values.astype(types.nptype_from_builtin(types.string_to_builtin(name)))


def integers(name, bits, shape=(ROWS, COLUMNS), *, signed=False):
    low = -(2 ** (bits - 1)) if signed else 0
    return typed(random.integers(low, low + 2**bits, shape), name)


def half(*shape):
    return random.normal(size=shape).astype(np.float16)


MASK = random.random((ROWS, COLUMNS)) < 0.5
KEPT = int(MASK.sum())


def sparse(parts):
    mask, values = parts
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)


KINDS = {
    "int8, a scale a channel": lambda: mb.constexpr_blockwise_shift_scale(
        data=integers("int8", 8, signed=True), scale=half(ROWS, 1)
    ),
    "int4, a scale for blocks of 4": lambda: mb.constexpr_blockwise_shift_scale(
        data=integers("int4", 4, signed=True), scale=half(ROWS, COLUMNS // 4)
    ),
    "uint4 with offsets": lambda: mb.constexpr_blockwise_shift_scale(
        data=integers("uint4", 4), scale=half(ROWS, 2), offset=integers("uint4", 4, (ROWS, 2))
    ),
    **{
        f"table of {bits} bits": lambda bits=bits: mb.constexpr_lut_to_dense(
            indices=integers(f"uint{bits}", bits), lut=half(1, 1, 2**bits, 1)
        )
        for bits in (1, 2, 3, 4, 6, 8)
    },
    "tables for groups of 2 rows": lambda: mb.constexpr_lut_to_dense(
        indices=integers("uint4", 4), lut=half(ROWS // 2, 1, 16, 1)
    ),
    "table of vectors": lambda: mb.constexpr_lut_to_dense(
        indices=integers("uint2", 2, (ROWS // 2, COLUMNS)),
        lut=half(2, 1, 4, 2),
        vector_axis=0,
    ),
    "sparse": lambda: mb.constexpr_sparse_to_dense(
        nonzero_data=half(KEPT), mask=typed(MASK, "uint1")
    ),
    "sparse table": lambda: sparse(
        mb.constexpr_lut_to_sparse(
            indices_mask=typed(MASK, "uint1"),
            indices_nonzero_data=integers("uint4", 4, (KEPT,)),
            lut=half(ROWS, 1, 16, 1),
        )
    ),
    "sparse table of vectors": lambda: sparse(
        mb.constexpr_lut_to_sparse(
            indices_mask=typed(MASK[::2], "uint1"),
            indices_nonzero_data=integers("uint4", 4, (int(MASK[::2].sum()),)),
            lut=half(1, 1, 16, 2),
            vector_axis=0,
        )
    ),
    "sparse int8": lambda: sparse(
        mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=typed(MASK, "uint1"),
            nonzero_data=integers("int8", 8, (KEPT,), signed=True),
            scale=half(ROWS, 1),
        )
    ),
}

OLD = {
    "affine": lambda: mb.constexpr_affine_dequantize(
        quantized_data=integers("uint8", 8),
        zero_point=integers("uint8", 8, (ROWS,)),
        scale=half(ROWS),
        axis=0,
    ),
    "affine with one scale": lambda: mb.constexpr_affine_dequantize(
        quantized_data=integers("int8", 8, signed=True),
        zero_point=np.int8(3),
        scale=np.float16(0.25),
        axis=1,
    ),
    "packed table": lambda: mb.constexpr_lut_to_dense(
        indices=random.integers(0, 256, ROWS * COLUMNS // 2).astype(np.uint8),
        lut=half(16),
        shape=np.array([ROWS, COLUMNS], np.uint32),
    ),
    "packed mask": lambda: mb.constexpr_sparse_to_dense(
        nonzero_data=half(KEPT),
        mask=np.packbits(MASK.reshape(-1), bitorder="little"),
        shape=np.array([ROWS, COLUMNS], np.uint32),
    ),
}


def expanded(kinds, folder, target):
    """By us and by coremltools, for each kind: what x, the identity, is multiplied with."""
    theirs = []

    def build(x):
        made, y = [], mb.cast(x=x, dtype="fp16")
        for kind in kinds.values():
            weight = kind()
            theirs.append(np.asarray(weight.op.materialized_val_inference(), np.float32))
            product = mb.matmul(x=y, y=weight, transpose_y=True)
            made.append(mb.cast(x=product, dtype="fp32"))
        return tuple(made)

    package = saved(build, X, folder, target=target)
    mine = Evaluator(package, "fp16").run("main", X).values()
    return {name: (a.T, b) for name, a, b in zip(kinds, mine, theirs, strict=True)}


@pytest.fixture(scope="module")
def of_ios_18(tmp_path_factory):
    return expanded(KINDS, tmp_path_factory.mktemp("ios18"), "iOS18")


@pytest.fixture(scope="module")
def of_ios_16(tmp_path_factory):
    return expanded(OLD, tmp_path_factory.mktemp("ios16"), "iOS16")


@pytest.mark.parametrize("name", KINDS)
def test_a_form_of_ios_18_stands_for_what_coremltools_says(of_ios_18, name):
    mine, theirs = of_ios_18[name]
    assert mine.shape == (ROWS, COLUMNS)
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", OLD)
def test_a_form_of_ios_16_stands_for_what_coremltools_says(of_ios_16, name):
    np.testing.assert_array_equal(*of_ios_16[name])


def test_a_table_may_be_compressed_itself(tmp_path):
    """coremltools does not expand this form; its own two steps are the reference."""
    indices, data, scale = integers("uint4", 4), half(2, 1, 16, 1), half(1, 1, 1, 1)
    data = (data * 40).astype(np.int8)
    expected = []

    def build(x):
        lut = mb.constexpr_blockwise_shift_scale(data=data, scale=scale)
        weight = mb.constexpr_lut_to_dense(indices=indices, lut=lut)
        table = lut.op.materialized_val_inference()
        expected.append(weight.op.decompress(indices, table, None))
        y = mb.cast(x=x, dtype="fp16")
        return mb.cast(x=mb.matmul(x=y, y=weight, transpose_y=True), dtype="fp32")

    package = saved(build, X, tmp_path)
    (mine,) = Evaluator(package, "fp16").run("main", X).values()
    np.testing.assert_array_equal(mine.T, expected[0].astype(np.float32))


def test_in_float32_the_product_with_a_scale_is_not_rounded(tmp_path):
    data, scale = np.array([[100, 101]], np.int8), np.array([[0.1]], np.float16)

    def build(x):
        weight = mb.constexpr_blockwise_shift_scale(data=data, scale=scale)
        y = mb.cast(x=x, dtype="fp16")
        return mb.cast(x=mb.matmul(x=y, y=weight, transpose_y=True), dtype="fp32")

    package = saved(build, {"x": np.eye(2, dtype=np.float32)}, tmp_path)
    exact, rounded = (
        next(iter(Evaluator(package, mode).run("main", {"x": np.eye(2)}).values()))
        for mode in ("fp32", "fp16")
    )
    np.testing.assert_array_equal(exact.T, data * scale.astype(np.float32))
    assert (exact != rounded).any()
