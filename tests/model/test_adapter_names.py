from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.errors import UnsupportedModelError
from slmdeploy.model.adapter_names import Part, part_of

BASE = "base_model.model."


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("model.q.lora_A.weight", ("model.q", "down", False)),
        ("model.q.lora_B.weight", ("model.q", "up", False)),
        ("model.embed.lora_embedding_A", ("model.embed", "down", True)),
        ("score.weight", ("score.weight", "whole", False)),
        ("score.modules_to_save.weight", ("score.weight", "whole", False)),
        ("score.modules_to_save.default.bias", ("score.bias", "whole", False)),
        ("model.q.base_layer.bias", ("model.q.bias", "whole", False)),
    ],
)
def test_names_of_peft_are_understood(key, part):
    assert part_of(BASE + key, Path("a")) == Part(BASE + key, *part)


@pytest.mark.parametrize("key", ["q.lora_magnitude_vector", "q.ia3_l", "q.lora_B.bias"])
def test_what_is_more_than_lora_is_refused_by_name(key):
    with pytest.raises(UnsupportedModelError, match=rf"a has .*{key}"):
        part_of(BASE + key, Path("a"))
