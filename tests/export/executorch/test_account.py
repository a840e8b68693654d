from __future__ import annotations

import pytest
from torch import nn

from slmdeploy.compress.recipe import LinearSpec
from slmdeploy.export.executorch.account import packed_bytes, predict_memory
from slmdeploy.export.executorch.sizes import linear_bytes
from slmdeploy.export.executorch.storage import store_as


@pytest.mark.parametrize(
    ("scheme", "group", "size"),
    [
        ("none", None, 96 * 64 * 4),
        ("fp16", None, 96 * 64 * 2),
        ("8da8w", None, 96 * 64 + 96 * 4),
        ("8da4w", None, 96 * 32 + 96 * 2),
        ("8da4w", 32, 96 * 32 + 96 * 2 * 2),
        ("w8", None, 96 * 64 + 96 * 4),
        ("w4", None, 96 * 32 + 96 * 4),
        ("w4", 32, 96 * 64 * 4),
        ("w4", 64, 96 * 32 + 96 * 4),
    ],
)
def test_a_linear_layer_of_96_by_64_takes_the_bytes_of_its_scheme(scheme, group, size):
    assert linear_bytes(96, 64, LinearSpec(scheme=scheme, group_size=group)) == size


def test_float16_weights_are_packed_as_float32_the_largest_from_a_copy():
    module = nn.Sequential(nn.Linear(8, 4, bias=False), nn.Linear(4, 2, bias=False))
    schemes = {"0": LinearSpec(scheme="fp16"), "1": LinearSpec()}
    store_as(module, schemes.__getitem__)
    in_file = 8 * 4 * 2 + 4 * 2 * 4
    assert packed_bytes(module, in_file) == (8 * 4 + 4 * 2) * 4 + 8 * 4 * 4


def test_the_prediction_grows_by_every_part_and_says_how_it_was_made():
    base = predict_memory(planned=10, artifact=100, delegated=60, packed=1000)
    more = predict_memory(planned=11, artifact=102, delegated=61, packed=1004)
    assert more.predicted_peak - base.predicted_peak == 1 + (2 - 1) + 4
    assert base.planned == 10
    assert "as packed" in base.method
