"""Logits of the rungs before an artifact exists: source, decoder, compressed.

Imports torch. Each rung is built, run and let go before the next one, so that one copy
of the weights is in memory at a time.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slmdeploy.compress.quantize import Compressed, quiet_torchao
from slmdeploy.model.attention import EagerAttention, step_logits
from slmdeploy.model.decoder import Decoder
from slmdeploy.model.model import Model
from slmdeploy.steps.golden import CONTINUATION

__all__ = [
    "compressed_logits",
    "continued",
    "decoder_logits",
    "greedy_continuation",
    "source_logits",
]

_Ids = npt.NDArray[np.int64]
_Logits = npt.NDArray[np.float32]


def source_logits(model: Model, prompt: _Ids) -> tuple[_Ids, _Logits] | str:
    """Let transformers' own code continue the prompt greedily, through its cache.

    Args:
        model: Its weights are put into the class that its ``config.json`` names.
        prompt: int64 [P].

    Returns:
        The continuation [T] and logits [T + 1, V]; or why it cannot be had.
    """
    try:
        with quiet_torchao():  # which transformers imports
            source = _transformers_model(model)
    except ImportError:
        return "transformers is not installed"
    except (ValueError, KeyError, AttributeError, RuntimeError) as error:
        return f"transformers cannot build this model: {error}"
    return continued(source, prompt)


@torch.no_grad()
def continued(source: torch.nn.Module, prompt: _Ids) -> tuple[_Ids, _Logits]:
    """Let a causal model of transformers continue a prompt greedily, through its own cache.

    Args:
        source: The model.
        prompt: int64 [P].

    Returns:
        The continuation [T] and logits [T + 1, V].
    """
    tokens, cache = torch.from_numpy(prompt)[None], None
    rows, ids = [], []
    for _ in range(CONTINUATION + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = source(input_ids=tokens, past_key_values=cache, use_cache=True)
        rows.append(given.logits[0, -1:].float())
        cache = given.past_key_values
        ids.append(int(rows[-1].argmax()))
        tokens = torch.tensor([[ids[-1]]])
    return np.asarray(ids[:-1], dtype=np.int64), torch.cat(rows).numpy()


def _transformers_model(model: Model) -> torch.nn.Module:
    """The source's own class on its own weights, in float32, attention in plain torch."""
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(model.hf_config)
    settings.pop("torch_dtype", None)
    settings.pop("dtype", None)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    with torch.device("meta"):
        source = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    state = {name: model.weights.load(name) for name in model.weights.names()}
    source.load_state_dict(state, strict=False, assign=True)
    source.tie_weights()
    _materialize_rope(source, config)
    left = [name for name, value in source.named_parameters() if value.is_meta]
    if left:
        raise ValueError(f"no weights for {left[0]!r}")
    module: torch.nn.Module = source.eval()
    return module


def _materialize_rope(source: torch.nn.Module, config: object) -> None:
    """Rotary frequencies are computed, not loaded, so they must leave the meta device."""
    for name, module in list(source.named_modules()):
        if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
            parent, _, leaf = name.rpartition(".")
            setattr(source.get_submodule(parent), leaf, type(module)(config=config))


@torch.no_grad()
def greedy_continuation(decoder: Decoder, prompt: _Ids) -> _Ids:
    """What our decoder says after a prompt, where the source cannot be run: int64 [T]."""
    attention = EagerAttention(decoder.config, len(prompt) + CONTINUATION)
    tokens, ids = torch.from_numpy(prompt)[None], []
    for _ in range(CONTINUATION):
        logits = decoder(tokens, attention.position, attention)
        attention.position += tokens.shape[1]
        ids.append(int(logits.argmax()))
        tokens = torch.tensor([[ids[-1]]])
    return np.asarray(ids, dtype=np.int64)


def decoder_logits(decoder: Decoder, prompt: _Ids, continuation: _Ids) -> _Logits:
    """Our decoder over the golden tokens, step by step: [T + 1, V]."""
    return step_logits(decoder, torch.from_numpy(prompt), torch.from_numpy(continuation)).numpy()


@torch.no_grad()
def compressed_logits(compressed: Compressed, prompt: _Ids, continuation: _Ids) -> _Logits:
    """The compressed model over the golden tokens, in one chunk: [T + 1, V].

    One chunk, because torchao expands the weights anew in every call; the rows are the
    same, as activations are quantized token by token.
    """
    decoder = compressed.module
    tokens = torch.from_numpy(np.concatenate([prompt, continuation]))
    attention = EagerAttention(decoder.config, len(tokens))
    every: Tensor = decoder(tokens[None], 0, attention, last_only=False)
    return np.ascontiguousarray(every[len(prompt) - 1 :].numpy())
