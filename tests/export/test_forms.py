from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import ExportError
from slmdeploy.export.forms import form_refusal, require_form, zeros_note


@pytest.mark.parametrize("runtime", ["executorch", "litert", "tflite-runtime"])
def test_palettes_are_refused_by_the_runtimes_name_before_any_work(runtime):
    with pytest.raises(ExportError, match=r"'palette4'.*has no palettes.*the recipe 'w4'"):
        require_form(runtime, BUILTIN_RECIPES["palette4"])
    require_form(runtime, BUILTIN_RECIPES["sparse24-w8"])


def test_core_ml_has_every_form():
    assert all(form_refusal("coreml", recipe) is None for recipe in BUILTIN_RECIPES.values())


def test_where_zeros_are_numbers_the_manifest_says_so():
    (note,) = zeros_note(BUILTIN_RECIPES["sparse24-w8"])
    assert "(body: 2:4 sparse) are plain zeros" in note
    assert zeros_note(BUILTIN_RECIPES["w8"]) == ()
