from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from slmdeploy.bundle.methods import golden_calls, inputs_fault, lengths_of, method_for
from slmdeploy.export.artifact import MethodInfo, TensorInfo
from slmdeploy.model.sizes import Varying


def manifest(**lengths):
    """As much of a manifest as is asked for."""
    methods = {
        name: MethodInfo(
            inputs=(),
            outputs=(),
            delegated_ops=None,
            total_ops=1,
            delegates=None,
            planned_bytes=None,
            length=length,
        )
        for name, length in lengths.items()
    }
    return SimpleNamespace(artifact=SimpleNamespace(methods=methods))


SEVERAL = manifest(forward_128=128, forward_32=32)


def test_methods_go_by_the_length_of_their_texts():
    assert list(lengths_of(SEVERAL).items()) == [("forward_32", 32), ("forward_128", 128)]


def test_the_one_method_of_a_bundle_has_no_length():
    assert lengths_of(manifest(forward=None)) == {}


@pytest.mark.parametrize(
    ("tokens", "method"),
    [(1, "forward_32"), (32, "forward_32"), (33, "forward_128"), (500, "forward_128")],
)
def test_a_text_goes_through_the_shortest_method_that_it_fits(tokens, method):
    assert method_for(lengths_of(SEVERAL), tokens) == method


def test_golden_inputs_are_parted_among_the_methods_shortest_first():
    golden = {f"input.{index}": np.array(index) for index in (3, 0, 2, 1)}
    calls = golden_calls(SEVERAL, golden | {"output.source.0": np.array(9)})
    assert calls == (("forward_32", (0, 1)), ("forward_128", (2, 3)))


def test_one_method_takes_all_golden_inputs():
    golden = {"input.0": np.array(0), "input.1": np.array(1)}
    assert golden_calls(manifest(main=None), golden) == (("forward", (0, 1)),)


LENGTH = Varying(axis=1, least=2, most=16, dimension="length")
VARYING = (
    manifest(forward=None)
    .artifact.methods["forward"]
    .model_copy(
        update={
            "inputs": (
                TensorInfo(name="ids", shape=(1, 8), dtype="int64", varying=(LENGTH,)),
                TensorInfo(name="mask", shape=(1, 8), dtype="float32", varying=(LENGTH,)),
            )
        }
    )
)


def fault(*shapes, dtypes=("int64", "float32")):
    return inputs_fault("forward", VARYING, list(zip(dtypes, shapes, strict=False)))


@pytest.mark.parametrize("length", [2, 8, 16])
def test_inputs_of_any_size_within_the_bounds_are_right(length):
    assert fault((1, length), (1, length)) is None


def test_a_size_out_of_bounds_is_told_with_input_axis_and_bounds():
    assert fault((1, 17), (1, 17)) == "Axis 1 of input 'ids' is 17; length may be 2 to 16."


def test_sizes_that_do_not_agree_are_told():
    said = fault((1, 8), (1, 9))
    assert said.startswith("Axis 1 of input 'mask' is 9; by axis 1 of input 'ids' (8)")


@pytest.mark.parametrize(
    ("shapes", "dtypes"),
    [
        ([(2, 8), (1, 8)], ("int64", "float32")),
        ([(1, 8), (8,)], ("int64", "float32")),
        ([(1, 8), (1, 8)], ("int64", "float64")),
        ([(1, 8)], ("int64",)),
    ],
)
def test_all_else_must_be_the_methods_own(shapes, dtypes):
    said = fault(*shapes, dtypes=dtypes)
    assert said.startswith("Method 'forward' takes int64 [1, 2..16], float32 [1, 2..16], not ")


def test_golden_inputs_of_several_sizes_go_through_the_one_method():
    several = SimpleNamespace(artifact=SimpleNamespace(methods={"forward": VARYING}))
    golden = {f"input.{index}": np.array(index) for index in range(4)}
    assert golden_calls(several, golden) == (("forward", (0, 1)), ("forward", (2, 3)))
