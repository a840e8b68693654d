"""A model's weights under the names that ExecuTorch's ``export_llm`` reads, for ``export.py``.

    python benchmarks/meta_checkpoint.py demo FOLDER [--layers N]

Writes ``weights.pth`` and ``params.json``. The rows of queries and keys stay in the order
of Hugging Face, which ``use_hf_rope`` tells it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from slmdeploy.errors import SlmdeployError, UnsupportedModelError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref

WEIGHTS, PARAMS = "weights.pth", "params.json"

_LAYER = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}
_TOP = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}


def main() -> int:
    """Write both files; an error of ours gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, help="only the first N layers")
    options = parser.parse_args()
    try:
        write(options.model, options.folder, options.layers)
    except SlmdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def write(name: str, folder: Path, layers: int | None) -> None:
    """Write the checkpoint.

    Args:
        name: The model.
        folder: Where both files go.
        layers: Take only so many.

    Raises:
        UnsupportedModelError: It is not a plain Llama.
        SlmdeployError: It cannot be read.
    """
    model = read_model(parse_ref(name))
    config = model.config
    if config is None or config.family != "llama" or config.rope_scaling is not None:
        raise UnsupportedModelError(
            f"{name} cannot be compared.", hint="Only a Llama without rope scaling can."
        )
    kept = layers or config.layers
    torch.save(_state(model, config, kept), folder / WEIGHTS)
    params = json.dumps(_params(config, kept), indent=2)
    (folder / PARAMS).write_text(params, encoding="utf-8")


def _state(model: Model, config: DecoderConfig, layers: int) -> dict[str, torch.Tensor]:
    names = {f"{meta}.weight": f"{ours}.weight" for meta, ours in _TOP.items()}
    if config.tied:
        names["output.weight"] = names["tok_embeddings.weight"]
    for layer in range(layers):
        for ours, meta in _LAYER.items():
            names[f"layers.{layer}.{meta}.weight"] = f"model.layers.{layer}.{ours}.weight"
    return {meta: model.weights.load(ours) for meta, ours in names.items()}


def _params(config: DecoderConfig, layers: int) -> dict[str, Any]:
    return {
        "dim": config.hidden_size,
        "hidden_dim": config.intermediate_size,
        "n_layers": layers,
        "n_heads": config.heads,
        "n_kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "use_scaled_rope": False,
        "use_hf_rope": True,
    }


if __name__ == "__main__":
    sys.exit(main())
