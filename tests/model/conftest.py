"""Tiny random checkpoints of each family, and the GGUF files that llama.cpp would make of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import decoders, models, pre_tokenizers, trainers

VOCAB, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, MLP, LAYERS = 320, 64, 4, 2, 16, 96, 2
CLASS = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def _own_cache(request, monkeypatch, tmp_path_factory):
    """Each test has a cache of its own, but those of the real demo model."""
    if request.node.get_closest_marker("demo") is None:
        monkeypatch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@dataclass
class Tiny:
    """What a tiny model is made of."""

    family: str = "llama"
    tied: bool = False
    seed: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self):
        generator = torch.Generator().manual_seed(self.seed)
        for name, shape in shapes(self.family, tied=self.tied).items():
            self.weights[name] = torch.randn(shape, generator=generator) * 0.05

    @property
    def config(self) -> dict[str, Any]:
        return {
            "architectures": [CLASS[self.family]],
            "model_type": self.family,
            "hidden_act": "silu",
            "vocab_size": VOCAB,
            "hidden_size": HIDDEN,
            "intermediate_size": MLP,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "max_position_embeddings": 128,
            "tie_word_embeddings": self.tied,
            "bos_token_id": 0,
            "eos_token_id": 0,
        }


def shapes(family: str, *, tied: bool) -> dict[str, tuple[int, ...]]:
    q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (HIDDEN,),
        "self_attn.q_proj.weight": (q, HIDDEN),
        "self_attn.k_proj.weight": (kv, HIDDEN),
        "self_attn.v_proj.weight": (kv, HIDDEN),
        "self_attn.o_proj.weight": (HIDDEN, q),
        "post_attention_layernorm.weight": (HIDDEN,),
        "mlp.gate_proj.weight": (MLP, HIDDEN),
        "mlp.up_proj.weight": (MLP, HIDDEN),
        "mlp.down_proj.weight": (HIDDEN, MLP),
    }
    if family == "qwen2":
        layer |= {f"self_attn.{x}_proj.bias": (n,) for x, n in (("q", q), ("k", kv), ("v", kv))}
    if family == "qwen3":
        layer |= {f"self_attn.{x}_norm.weight": (HEAD_DIM,) for x in "qk"}
    found = {"model.embed_tokens.weight": (VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,)}
    found |= {f"model.layers.{i}.{k}": v for i in range(LAYERS) for k, v in layer.items()}
    return found if tied else {**found, "lm_head.weight": (VOCAB, HIDDEN)}


def train_bpe() -> tokenizers.Tokenizer:
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = ["the light in the kitchen is on and the fan in the hall is off"] * 4
    core.train_from_iterator([*text, "in the beginning 1234 was the word"] * 4, trainer)
    return core


@pytest.fixture(scope="session")
def bpe_json() -> str:
    """``tokenizer.json`` of a byte-level tokenizer with every byte and a few merges."""
    return train_bpe().to_str()


@pytest.fixture
def tiny() -> Callable[..., Tiny]:
    return Tiny


@pytest.fixture
def checkpoint(tmp_path, bpe_json) -> Callable[..., Path]:
    """Write a tiny model as a Hugging Face folder."""

    def write(model: Tiny | None = None, *, name="model", dtype=torch.float32, shards=1) -> Path:
        model = model or Tiny()
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(model.config))
        (folder / "tokenizer.json").write_text(bpe_json)
        (folder / "tokenizer_config.json").write_text(
            json.dumps(
                {"bos_token": SPECIAL[0], "eos_token": SPECIAL[0], "chat_template": TEMPLATE}
            )
        )
        tensors = {key: value.to(dtype).contiguous() for key, value in model.weights.items()}
        write_safetensors(folder, tensors, shards)
        return folder

    return write


def write_safetensors(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, weight_map = sorted(tensors), {}
    for index in range(shards):
        file = f"model-{index + 1:05d}-of-{shards:05d}.safetensors"
        part = names[index::shards]
        save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index_file = folder / "model.safetensors.index.json"
    index_file.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.fixture
def gguf_file(tmp_path, bpe_json) -> Callable[..., Path]:
    """Write a tiny model as llama.cpp's converter would.

    ``metadata`` replaces keys (``None`` leaves one out); ``kind`` is the type of matrices.
    """

    def write(
        model: Tiny | None = None,
        *,
        name: str = "tiny.gguf",
        kind: str = "F32",
        metadata: dict[str, Any] | None = None,
        extra_tensors: dict[str, np.ndarray] | None = None,
    ) -> Path:
        model = model or Tiny()
        path = tmp_path / name
        keys = gguf_metadata(model, bpe_json) | (metadata or {})
        tensors = {gguf_name(n): permuted(model, n, t) for n, t in model.weights.items()}
        write_gguf(path, keys, tensors | (extra_tensors or {}), kind)
        return path

    return write


def gguf_metadata(model: Tiny, bpe_json: str) -> dict[str, Any]:
    arch, bpe = model.family, json.loads(bpe_json)
    tokens = sorted(bpe["model"]["vocab"], key=bpe["model"]["vocab"].__getitem__)
    return {
        "general.architecture": arch,
        f"{arch}.context_length": 128,
        f"{arch}.embedding_length": HIDDEN,
        f"{arch}.feed_forward_length": MLP,
        f"{arch}.block_count": LAYERS,
        f"{arch}.attention.head_count": HEADS,
        f"{arch}.attention.head_count_kv": KV_HEADS,
        f"{arch}.attention.key_length": HEAD_DIM,
        f"{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{arch}.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if t in SPECIAL else 1 for t in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in bpe["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": TEMPLATE,
    }


def permuted(model: Tiny, name: str, tensor: torch.Tensor) -> np.ndarray:
    """What the converter does to q and k of Llama: half-split pairs become neighbours."""
    values = tensor.numpy()
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2])
    if model.family != "llama" or heads is None:
        return values
    split = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return split.swapaxes(1, 2).reshape(values.shape)


def gguf_name(name: str) -> str:
    for ours, theirs in (
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ):
        name = name.replace(ours, theirs)
    return name


def write_gguf(path: Path, keys: dict[str, Any], tensors: dict[str, np.ndarray], kind: str) -> None:
    from gguf import GGMLQuantizationType, GGUFWriter, quantize

    writer = GGUFWriter(path, keys["general.architecture"])
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
    add |= {str: writer.add_string, list: writer.add_array, tuple: writer.add_array}
    for key, value in keys.items():
        if key != "general.architecture" and value is not None:
            add[type(value)](key, value)
    stored = GGMLQuantizationType[kind]
    for name, values in tensors.items():
        raw = stored if values.ndim > 1 else GGMLQuantizationType.F32
        data = quantize(np.ascontiguousarray(values), raw)
        writer.add_tensor(name, data, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Path:
    """A folder with one module as ``net.pt2`` and as TorchScript, ``net.pt``."""
    from tests.model.nets import IDS, Words

    folder = tmp_path_factory.mktemp("programs")
    torch.export.save(torch.export.export(Words().eval(), (IDS,)), folder / "net.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls all of TorchScript deprecated
        torch.jit.save(torch.jit.trace(Words().eval(), IDS), folder / "net.pt")
    return folder
