"""Memory that the runner will need, told from what the file has."""

from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.export.litert.account import packed_bytes, predict_memory, widened_bytes
from slmdeploy.export.litert.reading import read_file
from tests.export.litert.tiny import compressed, export


@pytest.fixture
def written(converted, tmp_path):
    """The file of a recipe, for a runtime."""

    def write(recipe: str, runtime: str = "litert"):
        path = tmp_path / f"{recipe}-{runtime}.tflite"
        export(compressed(load_recipe(recipe)), converted(), path, runtime=runtime)
        return read_file(path)

    return write


def test_integers_with_a_kernel_of_their_own_are_not_widened(written):
    file = written("8da8w")
    assert widened_bytes(file, signatures=2, old=False) == 0
    assert packed_bytes(file) < packed_bytes(written("none")) / 3


@pytest.mark.parametrize("recipe", ["fp16", "w8"])
def test_what_is_widened_is_packed_as_float32(recipe, written):
    assert packed_bytes(written(recipe)) == packed_bytes(written("none"))


def test_what_is_widened_is_kept_once_by_the_old_runtime_and_once_a_signature_by_litert(written):
    file = written("w8", "tflite-runtime")
    once = widened_bytes(file, signatures=2, old=True)
    assert once >= packed_bytes(file) * 0.9
    assert widened_bytes(file, signatures=2, old=False) == 2 * once


def test_each_signature_has_weights_and_a_cache_of_its_own():
    less = predict_memory(packed=100, widened=7, signatures=1, cache=10, artifact=1)
    more = predict_memory(packed=100, widened=7, signatures=2, cache=10, artifact=1)
    assert more.predicted_peak - less.predicted_peak == 110
