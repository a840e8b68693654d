from __future__ import annotations

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.families import families, family_for
from tests.model.families.cases import CASES


def test_the_built_in_families_come_in_by_the_entry_points():
    assert set(CASES) <= set(families())


def test_each_family_is_held_against_transformers():
    ours = {name for name, one in families().items() if one.name in CASES or name in CASES}
    assert ours == set(CASES)


@pytest.mark.parametrize("kind", [*sorted(set(CASES) - {"gemma3"}), "gemma3_text"])
def test_a_checkpoint_finds_its_family_by_its_model_type(kind):
    assert family_for({"model_type": kind}).name == kind.removesuffix("_text")


def test_an_unknown_architecture_is_answered_with_the_nearest():
    with pytest.raises(UnsupportedModelError, match="'qwen4'") as caught:
        family_for({"model_type": "qwen4"})
    assert "Nearest: qwen" in caught.value.hint
    assert "llama, ministral, mistral, olmo2" in caught.value.hint


def test_one_that_is_near_to_none_is_answered_with_all():
    with pytest.raises(UnsupportedModelError, match="'zzz'") as caught:
        family_for({"model_type": "zzz"})
    assert "Nearest" not in caught.value.hint
    assert "llama" in caught.value.hint


@pytest.mark.parametrize("config", [{}, {"model_type": ""}, {"model_type": None}])
def test_a_configuration_without_a_type_is_refused(config):
    with pytest.raises(UnsupportedModelError, match="'missing'"):
        family_for(config)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("lfm2", "short convolutions"), ("mixtral", "mixture of experts"), ("gpt2", "not rotary")],
)
def test_a_known_family_that_is_not_taken_says_what_stands_in_the_way(kind, reason):
    with pytest.raises(UnsupportedModelError, match=reason) as caught:
        family_for({"model_type": kind})
    assert "docs/add-a-family.md" in caught.value.hint
