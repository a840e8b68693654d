from __future__ import annotations

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.families import families, family_for


def test_the_built_in_families_come_in_by_the_entry_points():
    assert {"llama", "qwen2", "qwen3"} <= set(families())


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_a_checkpoint_finds_its_family_by_its_model_type(kind):
    assert family_for({"model_type": kind}).name == kind


def test_an_unknown_architecture_is_answered_with_the_nearest():
    with pytest.raises(UnsupportedModelError, match="'qwen4'") as caught:
        family_for({"model_type": "qwen4"})
    assert "Nearest: qwen" in caught.value.hint
    assert "Known: llama, qwen2, qwen3" in caught.value.hint


def test_one_that_is_near_to_none_is_answered_with_all():
    with pytest.raises(UnsupportedModelError, match="'zzz'") as caught:
        family_for({"model_type": "zzz"})
    assert "Nearest" not in caught.value.hint
    assert "llama" in caught.value.hint


@pytest.mark.parametrize("config", [{}, {"model_type": ""}, {"model_type": None}])
def test_a_configuration_without_a_type_is_refused(config):
    with pytest.raises(UnsupportedModelError, match="'missing'"):
        family_for(config)
