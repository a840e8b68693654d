from __future__ import annotations

import pytest
from pydantic import ValidationError

from slmdeploy.compress.recipe import (
    BUILTIN_RECIPES,
    EmbeddingSpec,
    LinearSpec,
    PaletteSpec,
    Recipe,
    SparsitySpec,
    load_recipe,
    recipe_names,
)
from slmdeploy.errors import ProfileError, UnknownNameError

FP16, DA4, DA8 = (LinearSpec(scheme=scheme) for scheme in ("fp16", "8da4w", "8da8w"))


@pytest.fixture
def recipe_file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_built_in_recipe_is_found_by_its_name():
    assert recipe_names() == tuple(BUILTIN_RECIPES)
    assert all(load_recipe(name).name == name for name in recipe_names())


def test_the_recipe_none_compresses_nothing():
    none = load_recipe("none")
    assert (none.body.scheme, none.head_spec.scheme, none.embedding.bits) == ("none", "none", 32)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        load_recipe("8da4w-head")
    assert "8da4w-head8" in caught.value.hint


def test_a_file_is_named_by_itself_unless_it_says_otherwise(recipe_file):
    path = recipe_file('[body]\nscheme = "8da4w"\ngroup_size = 64\n[embedding]\nbits = 5\n')
    recipe = load_recipe(path)
    assert recipe.name == "mine"
    assert recipe.body == LinearSpec(scheme="8da4w", group_size=64)
    assert recipe.embedding == EmbeddingSpec(bits=5)
    assert load_recipe(recipe_file('name = "other"')).name == "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("body = [", "is not TOML"),
        ('[body]\nscheme = "int4"', "body.scheme"),
        ("[embedding]\nbits = 9", "embedding.bits"),
        ("[embedding]\nbit = 8", "embedding.bit"),
        ("[body]\ngroup_size = 32", "group_size does not go with scheme 'none'"),
        ('[body]\nscheme = "fp16"\ngroup_size = 32', "does not go with scheme 'fp16'"),
        ('[head]\nscheme = "8da8w"\ngroup_size = 32', "one scale per channel"),
        ('[body]\nscheme = "w4"\ngroup_size = 4', "body.group_size"),
        ('name = "a/b"', "name"),
        ('[body]\nscheme = "palette"', "go together"),
        ('[body]\nscheme = "w8"\npalette = {bits = 4}', "go together"),
        ('[body]\nscheme = "palette"\npalette = {bits = 5}', "body.palette.bits"),
        ('[body]\nscheme = "palette"\ngroup_size = 32\npalette = {bits = 4}', "group_size"),
        ('[body]\nscheme = "w8"\nsparsity = {}', "either fraction or pattern"),
        ('[body]\nscheme = "w8"\nsparsity = {fraction = 1.0}', "body.sparsity.fraction"),
        ('[body]\nscheme = "w8"\nsparsity = {pattern = "4:4"}', "zeroes nothing"),
        (
            (
                '[body]\nscheme = "palette"\npalette = {bits = 4, table = "int8"}\n'
                'sparsity = {pattern = "2:4"}'
            ),
            "no sparse form",
        ),
        ("[embedding]\nbits = 8\npalette = {bits = 4}", "bits of its own"),
        ('floats = "fp16"\n[body]\nscheme = "8da4w"', "bfloat16"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_that_is_wrong(recipe_file, text, said):
    with pytest.raises(ProfileError) as caught:
        load_recipe(recipe_file(text))
    assert "mine.toml" in str(caught.value)
    assert said in str(caught.value)


def test_palettes_and_sparsity_are_tables_in_a_file(recipe_file):
    recipe = load_recipe(
        recipe_file(
            '[body]\nscheme = "palette"\n[body.palette]\nbits = 4\nchannels = 16\n'
            '[body.sparsity]\npattern = "2:4"\n[head]\nscheme = "w8"\n'
            "[embedding.palette]\nbits = 6\n"
        )
    )
    assert recipe.body.palette == PaletteSpec(bits=4, channels=16)
    assert recipe.body.sparsity.kept_of == (2, 4)
    assert recipe.embedding == EmbeddingSpec(palette=PaletteSpec(bits=6))
    assert recipe.embedding.bits == 6


def test_a_tied_table_is_shared_where_head_and_embedding_are_the_same():
    assert load_recipe("palette4").shares_table
    assert load_recipe("w4-g32").shares_table
    assert not load_recipe("8da4w").shares_table
    head = LinearSpec(scheme="w8", sparsity=SparsitySpec(fraction=0.5))
    assert not Recipe(name="r", head=head, embedding=EmbeddingSpec(bits=8)).shares_table


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ProfileError, match="cannot be read"):
        load_recipe(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("parts", "precision"),
    [
        ({}, "fp32"),
        ({"embedding": EmbeddingSpec(bits=16)}, "fp16"),
        ({"body": FP16}, "fp16"),
        ({"head": FP16}, "fp16"),
        ({"embedding": EmbeddingSpec(bits=2)}, "int8"),
        ({"body": DA8}, "int8"),
        ({"body": DA8, "head": DA4}, "int4"),
        ({"body": DA4, "head": DA8}, "int4"),
        ({"body": LinearSpec(scheme="w4")}, "int4"),
        ({"body": LinearSpec(scheme="w8"), "head": FP16}, "int8"),
    ],
)
def test_the_coarsest_linear_part_is_the_precision(parts, precision):
    assert Recipe(name="r", **parts).precision == precision


def test_the_head_follows_the_body_unless_it_is_set_apart():
    assert Recipe(name="r", body=DA4).head_spec == DA4
    assert Recipe(name="r", body=DA4, head=DA8).head_spec == DA8


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (LinearSpec(), "fp32"),
        (FP16, "fp16"),
        (DA8, "8da8w channel"),
        (LinearSpec(scheme="w4", group_size=32), "w4 g32"),
        (EmbeddingSpec(), "fp32"),
        (EmbeddingSpec(bits=3), "int3 row"),
        (EmbeddingSpec(bits=8, group_size=16), "int8 g16"),
        (LinearSpec(scheme="palette", palette=PaletteSpec(bits=4, channels=16)), "palette4 c16"),
        (EmbeddingSpec(palette=PaletteSpec(bits=2, table="int8")), "palette2 tensor int8 table"),
        (LinearSpec(scheme="w8", sparsity=SparsitySpec(pattern="2:4")), "w8 channel, 2:4 sparse"),
        (LinearSpec(scheme="fp16", sparsity=SparsitySpec(fraction=0.5)), "fp16, 50% sparse"),
    ],
)
def test_a_spec_reads_as_tables_have_it(spec, text):
    assert str(spec) == text


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(ValidationError):
        load_recipe("none").name = "other"
