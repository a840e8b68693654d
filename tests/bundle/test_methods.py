from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from slmdeploy.bundle.methods import golden_calls, lengths_of, method_for
from slmdeploy.export.artifact import MethodInfo


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
