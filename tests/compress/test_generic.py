from __future__ import annotations

import pytest
import torch
from torch import nn

from slmdeploy.compress.embedding import QuantizedEmbedding
from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES, EmbeddingSpec, LinearSpec, Recipe
from slmdeploy.errors import RecipeError

GROUPS = Recipe(name="groups", body=LinearSpec(scheme="8da4w", group_size=32))


def packed(layer):
    """Whether a layer's weight is one of torchao's."""
    return type(layer.weight.data) is not torch.Tensor


def test_nothing_changes_without_compression():
    module = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compress_module(module, BUILTIN_RECIPES["none"])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_floats_are_rounded_where_the_recipe_says_so():
    module = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4), nn.LayerNorm(4))
    compress_module(module, Recipe(name="half", floats="fp16"))
    assert all(torch.equal(value, value.half().float()) for value in module.parameters())


def test_linear_layers_and_tables_are_compressed_wherever_they_stand():
    module = nn.Sequential(nn.Embedding(10, 64), nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 4)))
    compress_module(module, BUILTIN_RECIPES["8da8w"])
    assert isinstance(module[0], QuantizedEmbedding)
    assert [packed(layer) for layer in module[1]] == [True, True]


def test_the_module_is_left_in_evaluation_mode_without_gradients():
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train()
    compressed = compress_module(module, BUILTIN_RECIPES["none"])
    assert compressed.module is module
    assert not module[1].training
    assert not module[0].weight.requires_grad


def test_there_is_no_head_to_set_apart():
    module = nn.Sequential(nn.Linear(64, 4))
    compressed = compress_module(module, BUILTIN_RECIPES["8da4w-head8"])
    assert compressed.recipe.head is None
    assert compressed.recipe.body == BUILTIN_RECIPES["8da4w-head8"].body


def test_a_layer_that_does_not_divide_into_groups_is_named():
    module = nn.ModuleDict({"good": nn.Linear(64, 4), "odd": nn.Linear(40, 4)})
    with pytest.raises(RecipeError, match=r"Layer 'odd' has 40 inputs.*groups of 32") as caught:
        compress_module(module, GROUPS)
    assert "40" in caught.value.hint


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (nn.Embedding(10, 6), "rows of 6 values"),
        (nn.Embedding(10, 8, max_norm=1.0), "limits the norm"),
    ],
)
def test_a_table_that_cannot_be_compressed_is_named(table, said):
    with pytest.raises(RecipeError, match=f"Table 'words'.*{said}"):
        compress_module(nn.ModuleDict({"words": table}), BUILTIN_RECIPES["w8"])


def test_a_table_with_limited_norm_may_stay_in_float32():
    module = nn.ModuleDict({"words": nn.Embedding(10, 8, max_norm=1.0)})
    compress_module(module, GROUPS)
    assert isinstance(module["words"], nn.Embedding)


def test_tables_of_in_between_widths_are_taken():
    recipe = Recipe(name="e3", embedding=EmbeddingSpec(bits=3))
    module = nn.Sequential(nn.Embedding(10, 8))
    compress_module(module, recipe)
    assert module[0](torch.arange(3)).shape == (3, 8)


class OwnLinear(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight * 2, self.bias)


class OwnTable(nn.Embedding):
    def forward(self, tokens):
        return super().forward(tokens) * 8


def test_layers_with_code_of_their_own_stay_as_they_are():
    module = nn.Sequential(OwnTable(10, 64), OwnLinear(64, 4))
    before = module(torch.arange(3))
    compress_module(module, BUILTIN_RECIPES["8da8w"])
    assert torch.equal(module(torch.arange(3)), before)


def test_a_shared_table_is_replaced_in_all_its_places():
    module = nn.ModuleDict({"one": nn.Embedding(10, 8), "other": nn.Identity()})
    module["other"] = module["one"]
    compress_module(module, BUILTIN_RECIPES["8da8w"])
    assert isinstance(module["other"], QuantizedEmbedding)
    assert module["one"] is module["other"]


@pytest.mark.parametrize("layer", [nn.Linear(64, 4), nn.Embedding(10, 64)])
def test_a_single_layer_is_a_module_too(layer):
    compressed = compress_module(layer, BUILTIN_RECIPES["8da8w"])
    (only,) = compressed.module.children()
    assert isinstance(only, QuantizedEmbedding) or packed(only)
