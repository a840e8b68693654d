"""The package in ``docs/add-a-family.md``, taken from there and used."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from slmdeploy.errors import ModelReadError
from slmdeploy.model.families import families, family_for
from slmdeploy.model.load import load_decoder
from tests.model.families.cases import LIMIT, PROMPT, TOTAL, through_the_cache
from tests.model.reference import MemorySource, reference, tokens

PAGE = Path(__file__).parents[3] / "docs/add-a-family.md"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The page's package as pip would lay it out."""
    page = PAGE.read_text(encoding="utf-8")
    module = re.search(r"`slmdeploy_acme\.py`:\n\n```python\n(.*?)```", page, re.DOTALL)[1]
    points = re.search(r'\[project\.entry-points\."(.+?)"\]\n(.*?)```', page, re.DOTALL)
    (tmp_path / "slmdeploy_acme.py").write_text(module, encoding="utf-8")
    info = tmp_path / "slmdeploy_acme-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slmdeploy-acme\nVersion: 0.1\n")
    declared = points[2].replace('"', "")
    (info / "entry_points.txt").write_text(f"[{points[1]}]\n{declared}")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("slmdeploy_acme", None)


def test_an_installed_package_adds_its_family(installed):
    assert "acme" in families()
    assert family_for({"model_type": "acme"}).name == "acme"


def test_the_pages_family_gives_the_logits_of_its_model(installed):
    # What the imagined family is: a Qwen3 with windows and another name of one tensor.
    keys = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0}
    types = ["full_attention", "sliding_attention", "full_attention"]
    model = reference("qwen3", head_dim=24, layer_types=types, **keys)
    tensors = {
        name.replace("self_attn.o_proj", "attention.out"): value
        for name, value in model.model.state_dict().items()
    }
    hf_config = {**model.hf_config, "model_type": "acme", "acme_window": 5}
    family = family_for(hf_config)
    decoder = load_decoder(family.config(hf_config), family, MemorySource(tensors), positions=TOTAL)
    ids = tokens(TOTAL)
    found = through_the_cache(decoder, ids, 0)
    assert (found - model.logits(ids)[PROMPT - 1 :]).abs().max() <= LIMIT


def test_a_key_that_the_pages_family_misses_is_named(installed):
    hf_config = {**reference("qwen3").hf_config, "model_type": "acme"}
    with pytest.raises(ModelReadError, match="acme_window"):
        family_for(hf_config).config(hf_config)
