"""One export by coremltools' own route, for ``coreml.py``: MODEL to a package.

The module is transformers' own, its cache replaced by one that writes into buffers, which
become states. Weights are quantized by ``coremltools.optimize`` after the conversion.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import Cache

from slmdeploy.export.coreml.shim import coremltools, require_mended
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref


class _Buffers(Cache):  # type: ignore[misc]
    """Hands new keys and values to the module that holds the buffers."""

    def __init__(self, holder: Stateful) -> None:
        self.holder = holder
        self.layers: list[Any] = []

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Write, and give all of a layer."""
        return self.holder.written(layer, key, value)

    def get_seq_length(self, *_: Any) -> int:
        """Of no meaning: mask and positions are given."""
        return 0


class Stateful(nn.Module):
    """A decoder of transformers with its cache in buffers.

    Args:
        model: Of transformers.
        context: Tokens that the cache holds.
    """

    k_cache: Tensor
    v_cache: Tensor

    def __init__(self, model: Any, context: int) -> None:
        super().__init__()
        config = model.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = config.num_hidden_layers, 1, config.num_key_value_heads, context, size
        self.model = model
        self.register_buffer("k_cache", torch.zeros(shape))
        self.register_buffer("v_cache", torch.zeros(shape))
        self.places = torch.empty(0)

    def written(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write at the current places; gives all keys and values of a layer."""
        begin = self.places[0]
        end = begin + key.shape[2]
        self.k_cache[layer, :, :, begin:end, :] = key
        self.v_cache[layer, :, :, begin:end, :] = value
        return self.k_cache[layer], self.v_cache[layer]

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        """Logits of the last token."""
        self.places = places
        given = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places[None],
            past_key_values=_Buffers(self),
            use_cache=True,
            logits_to_keep=1,
        )
        self.places = torch.empty(0)
        logits: Tensor = given.logits
        return logits


def main() -> int:
    """Export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("destination", type=Path)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--chunk", type=int, required=True)
    parser.add_argument("--layers", type=int, help="only the first N layers")
    options = parser.parse_args()
    require_mended()
    model = load(read_model(parse_ref(options.model)), options.layers)
    wrapped = Stateful(model, options.context).eval()
    described = coremltools.utils.MultiFunctionDescriptor()
    with tempfile.TemporaryDirectory(dir=options.destination.parent) as folder:
        for name, length in (("decode", 1), ("prefill", options.chunk)):
            path = str(Path(folder) / f"{name}.mlpackage")
            convert(wrapped, length, options.context, path)
            described.add_function(path, "main", name)
        described.default_function_name = "decode"
        coremltools.utils.save_multifunction(described, str(options.destination))
    return 0


def load(model: Model, layers: int | None) -> nn.Module:
    """The model in the class that its ``config.json`` names, in float32."""
    settings = {key: value for key, value in model.hf_config.items() if "dtype" not in key}
    settings["num_hidden_layers"] = layers or settings["num_hidden_layers"]
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    made = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    state = {name: model.weights.load(name) for name in model.weights.names()}
    made.load_state_dict(state, strict=False, assign=True)
    made.tie_weights()
    found: nn.Module = made.eval()
    return found


def convert(wrapped: Stateful, length: int, context: int, path: str) -> None:
    """Trace for a length, convert, quantize and save."""
    half, whole = np.float16, np.int32
    trace: Any = torch.jit.trace
    examples = (
        torch.zeros(1, length, dtype=torch.int32),
        torch.zeros(1, 1, length, context),
        torch.arange(length, dtype=torch.int32),
    )
    with torch.no_grad():
        traced = trace(wrapped, examples, check_trace=False)
    for name in ("k_cache", "v_cache"):
        traced.get_buffer(name).zero_()
    tensor, shape = coremltools.TensorType, tuple(wrapped.k_cache.shape)
    converted = coremltools.convert(
        traced,
        inputs=[
            tensor("ids", shape=(1, length), dtype=whole),
            tensor("mask", shape=(1, 1, length, context), dtype=half),
            tensor("places", shape=(length,), dtype=whole),
        ],
        outputs=[tensor("logits", dtype=half)],
        states=[
            coremltools.StateType(tensor(shape=shape, dtype=half), name=name)
            for name in ("k_cache", "v_cache")
        ],
        minimum_deployment_target=coremltools.target.iOS18,
        compute_precision=coremltools.precision.FLOAT16,
        skip_model_load=True,
    )
    quantized(converted).save(path)


def quantized(converted: Any) -> Any:
    """int4 in groups of 32."""
    from coremltools.optimize import coreml as theirs

    blocks = theirs.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=32
    )
    return theirs.linear_quantize_weights(
        converted, theirs.OptimizationConfig(global_config=blocks)
    )


if __name__ == "__main__":
    sys.exit(main())
