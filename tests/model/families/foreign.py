"""Tiny random models of families that go through transformers' own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from slmdeploy.compress.generic import CompressedModule, compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.export.artifact import Artifact
from slmdeploy.export.options import ExecutorchOptions
from tests.model.families.artifacts import CHUNK, IDS
from tests.model.families.cases import PROMPT, TOTAL
from tests.model.reference import VOCAB

CONTEXT = 54
"""No multiple of the chunk: the last one is padded beyond what a table of positions has."""

_SIZES: Mapping[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_WINDOW: Mapping[str, Any] = {"sliding_window": 8}
_DERIVED = ("falcon",)
"""Types whose configuration computes the size of a head."""

_OWN: Mapping[str, Mapping[str, Any]] = {
    "codegen": {"rotary_dim": 8},
    "cohere2": _WINDOW,
    "exaone4": _WINDOW,
    "falcon": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "gptj": {"rotary_dim": 8},
    "olmo3": _WINDOW,
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 64},
    "starcoder2": _WINDOW,
}


def random_model(family: str, **changes: Any) -> nn.Module:
    """A model of the class that transformers has for a ``model_type``, in eager attention."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {**_SIZES, **_OWN.get(family, {}), **changes}
    if family in _DERIVED:
        del sizes["head_dim"]
    config = AutoConfig.for_model(family, **sizes)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(requires_grad=False)
        if parameter.dim() >= 2:
            parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)
        else:
            mean = 1.0 if name.endswith("weight") else 0.0
            parameter.normal_(mean, 0.2, generator=generator)
    return model


@torch.no_grad()
def source_rows(model: nn.Module) -> torch.Tensor:
    """What transformers gives through its own, growing cache: [STEPS + 1, VOCAB]."""
    given = model(input_ids=IDS[None, :PROMPT], use_cache=True)
    rows = [given.logits[0, -1]]
    for place in range(PROMPT, TOTAL):
        given = model(
            input_ids=IDS[None, place : place + 1],
            past_key_values=given.past_key_values,
            use_cache=True,
        )
        rows.append(given.logits[0, -1])
    return torch.stack(rows)


def compressed_step(model: nn.Module, recipe: str = "none") -> CompressedModule:
    """The model as a step, exchanged parts and all; ``model`` is used up."""
    from slmdeploy.export.executorch.exporter import capacity_for
    from slmdeploy.model.foreign_parts import apart, make_exportable, plain_linears
    from slmdeploy.model.foreign_step import ForeignStep, cache_shapes

    shapes, head = cache_shapes(model), apart(model)
    plain_linears(model)
    make_exportable(model, CONTEXT)
    step = ForeignStep(model, shapes, capacity_for(CONTEXT, CHUNK), CONTEXT).eval()
    return compress_module(step, BUILTIN_RECIPES[recipe], head=f"model.{head}")


def export(step: CompressedModule, file: Path) -> Artifact:
    """The step's artifact, its traced graphs run over the same tokens."""
    from slmdeploy.export.executorch.foreign import export_foreign

    golden = IDS[:PROMPT].numpy(), IDS[PROMPT:].numpy()
    return export_foreign(step, ExecutorchOptions(prefill_chunk=CHUNK), file, golden=golden)
