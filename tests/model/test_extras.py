from __future__ import annotations

import sys

import pytest

from slmdeploy.errors import MissingExtraError
from slmdeploy.model.extras import import_gguf, import_torch, import_transformers
from slmdeploy.model.hub import fetch_hub
from slmdeploy.model.safetensors_source import open_safetensors


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("torch", lambda: import_torch("This"), "executorch"),
        ("transformers", lambda: import_transformers("This"), "models"),
        ("gguf", import_gguf, "models"),
        ("huggingface_hub", lambda: fetch_hub("a/b"), "models"),
    ],
)
def test_a_missing_package_is_named_by_its_extra(monkeypatch, module, call, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        call()
    assert caught.value.hint == f"Run: pip install 'slmdeploy[{extra}]'"


def test_weights_without_safetensors_name_the_extra(checkpoint, monkeypatch):
    source = open_safetensors(checkpoint())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match="'models'"):
        source.load("model.norm.weight")
