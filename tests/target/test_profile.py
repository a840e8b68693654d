from __future__ import annotations

import pytest
from pydantic import ValidationError

from slmdeploy.compress.recipe import BUILTIN_RECIPES, LinearSpec, Recipe
from slmdeploy.errors import RecipeError
from slmdeploy.target.load import load_target
from slmdeploy.target.profile import with_recipe

ODD = Recipe(name="odd", head=LinearSpec(scheme="8da4w", group_size=16))


def test_another_recipe_leaves_the_target_as_it_was():
    before = load_target("rpi5-executorch")
    after = with_recipe(before, BUILTIN_RECIPES["none"])
    assert after.recipe.name == "none"
    assert before.recipe.name != "none"
    assert after.board == before.board


def test_a_recipe_that_the_runtime_cannot_run_is_refused():
    with pytest.raises(RecipeError) as caught:
        with_recipe(load_target("rpi5-executorch"), ODD)
    assert "'rpi5-executorch' cannot run recipe 'odd'" in str(caught.value)
    assert "(head)" in str(caught.value)


@pytest.mark.parametrize("name", ["none", "8da8w", "8da4w-head8", "w8", "sparse24-w8"])
def test_another_recipe_that_runs_there_can_be_asked_for(name):
    recipe = BUILTIN_RECIPES[name]
    assert with_recipe(load_target("local-executorch"), recipe).recipe == recipe


def test_a_recipe_that_does_not_run_there_is_refused_by_name():
    with pytest.raises(RecipeError, match=r"'palette4'.*has no palettes"):
        with_recipe(load_target("local-executorch"), BUILTIN_RECIPES["palette4"])


def test_a_profile_cannot_be_changed_in_place():
    with pytest.raises(ValidationError):
        load_target("rpi5-executorch").threads = 1


def test_a_target_of_the_core_ml_delegate_has_an_exporter_of_its_own():
    delegate = load_target("iphone15-executorch-coreml")
    assert (delegate.runtime, delegate.exporter, delegate.core_ml) == (
        *("executorch", "executorch-coreml"),
        True,
    )
    package, board = load_target("iphone15-coreml"), load_target("rpi5-executorch")
    assert (package.exporter, package.core_ml) == ("coreml", True)
    assert (board.exporter, board.core_ml) == ("executorch", False)


def test_the_delegate_refuses_a_recipe_with_the_nearest_that_it_takes():
    delegate = load_target("iphone15-executorch-coreml")
    assert with_recipe(delegate, BUILTIN_RECIPES["palette4"]).recipe.floats == "fp16"
    with pytest.raises(RecipeError, match=r"quantizes no activations.*use the recipe 'w8'"):
        with_recipe(delegate, BUILTIN_RECIPES["8da8w"])
