from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import BUILTIN_RECIPES, LinearSpec, Recipe
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions
from slmdeploy.target.recipes import fitted, refusal


@pytest.mark.parametrize(("scheme", "nearest"), [("w4", "8da4w"), ("w8", "8da8w")])
@pytest.mark.parametrize("part", ["body", "head"])
def test_weight_only_groups_are_refused_with_the_recipe_that_comes_nearest(scheme, nearest, part):
    recipe = Recipe(name="mine", **{part: LinearSpec(scheme=scheme, group_size=32)})
    reason = refusal("executorch", recipe)
    assert f"'mine': XNNPACK has no {scheme} kernel for groups ({part})" in reason
    assert f"the recipe {nearest!r}" in reason


@pytest.mark.parametrize("group", [8, 16, 48])
def test_groups_that_xnnpack_has_no_block_for_are_refused(group):
    recipe = Recipe(name="mine", body=LinearSpec(scheme="8da4w", group_size=group))
    assert f"groups of {group} (body)" in refusal("executorch", recipe)


@pytest.mark.parametrize("spec", ["w4", "w8", "8da4w", "8da8w", "fp16", "none"])
def test_every_scheme_per_channel_runs(spec):
    assert refusal("executorch", Recipe(name="mine", body=LinearSpec(scheme=spec))) is None


def test_a_runtime_that_is_not_known_here_refuses_nothing():
    recipe = Recipe(name="mine", body=LinearSpec(scheme="w4", group_size=32))
    assert refusal("another", recipe) is None


@pytest.mark.parametrize("runtime", ["executorch", "litert", "tflite-runtime"])
def test_a_runtime_without_palettes_names_the_palette_and_the_nearest_recipe(runtime):
    reason = refusal(runtime, BUILTIN_RECIPES["palette6"])
    assert "no palettes (body: palette6 tensor), Core ML has" in reason
    assert "the recipe 'w8'" in reason


@pytest.mark.parametrize("name", ["sparse50-w8", "sparse24-w8"])
@pytest.mark.parametrize("runtime", ["executorch", "litert", "tflite-runtime"])
def test_zeros_among_integers_run_everywhere(runtime, name):
    assert refusal(runtime, BUILTIN_RECIPES[name]) is None


def test_litert_refuses_what_its_exporter_would_lose():
    assert "zeros among floats" in refusal("litert", BUILTIN_RECIPES["sparse50"])
    rounded = BUILTIN_RECIPES["w8"].model_copy(update={"floats": "fp16"})
    assert all(refusal(runtime, rounded) is None for runtime in ("litert", "executorch"))


@pytest.mark.parametrize("recipe", BUILTIN_RECIPES.values(), ids=lambda r: r.name)
def test_core_ml_takes_every_recipe_of_weights_alone(recipe):
    reason = refusal("coreml", recipe)
    assert (reason is None) == (not recipe.body.scheme.startswith("8da"))
    assert reason is None or "quantizes no activations" in reason


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("w4", "integers of 8 bits alone"),
        ("palette4", "one palette for a whole tensor"),
        ("sparse24-w8", "sparse weights in float16 alone"),
    ],
)
def test_ios_17_refuses_by_name_what_came_with_ios_18(name, said):
    old = CoremlOptions(deployment_target="iOS17")
    reason = refusal("coreml", BUILTIN_RECIPES[name], old)
    assert said in reason
    assert "deployment_target = 'iOS18', or use the recipe" in reason
    for taken in ("none", "fp16", "w8", "palette6", "sparse50"):
        assert refusal("coreml", BUILTIN_RECIPES[taken], old) is None


def test_core_ml_rounds_all_floats_to_what_a_package_holds():
    assert fitted("coreml", BUILTIN_RECIPES["w8"]).floats == "fp16"
    assert fitted("executorch", BUILTIN_RECIPES["w8"]) is BUILTIN_RECIPES["w8"]


@pytest.mark.parametrize("recipe", BUILTIN_RECIPES.values(), ids=lambda r: r.name)
def test_executorchs_core_ml_delegate_takes_what_core_ml_takes(recipe):
    delegate = ExecutorchOptions(backend="coreml")
    assert refusal("executorch", recipe, delegate) == refusal("coreml", recipe)
    assert fitted("executorch", recipe, delegate).floats == "fp16"
    assert fitted("executorch", recipe, ExecutorchOptions()) is recipe
