from __future__ import annotations

import pytest

from slmdeploy.compress.recipe import LinearSpec, Recipe
from slmdeploy.target.recipes import refusal


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
    assert refusal("coreml", recipe) is None
