"""The ``config.json`` that a GGUF file's metadata stand for.

Keys as in ``docs/gguf.md`` of the ggml repository; the Hugging Face names as in the
configuration classes of ``transformers``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.gguf_families import ARCHITECTURES
from slmdeploy.model.gguf_file import GgufFile
from slmdeploy.model.gguf_names import LONG_FACTORS, ROPE_FACTORS, SHORT_FACTORS

__all__ = ["hf_config"]

_REQUIRED = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "context_length": "max_position_embeddings",
}
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
_LLAMA3_CONTEXT = 8192
_FACTOR_TOLERANCE = 1e-3


def hf_config(
    file: GgufFile, rope_factors: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Any]:
    """Rebuild the configuration.

    Args:
        file: The file.
        rope_factors: The tensors of rotary factors that the file has, by their names.

    Raises:
        UnsupportedModelError: The architecture, or a feature of it, is not one we have.
        ModelReadError: A key is missing, or its value is of the wrong kind.
    """
    arch = _architecture(file)
    known = ARCHITECTURES[arch]
    required = [*_REQUIRED.items(), known.eps]
    config: dict[str, Any] = {
        "architectures": [known.class_name],
        "model_type": known.model_type,
        "hidden_act": "silu",
        **known.fixed,
        **{ours: _number(file, f"{arch}.{key}") for key, ours in required},
        **_own_keys(file, arch),
    }
    heads = config["num_attention_heads"]
    config["num_key_value_heads"] = _number(file, f"{arch}.attention.head_count_kv", heads)
    config["head_dim"] = _head_dim(file, arch, config)
    if known.partly_rotated:
        config["partial_rotary_factor"] = _rotated(file, arch, config["head_dim"])
    if known.large is not None:
        large = config["num_hidden_layers"] == known.large
        even = config["hidden_size"] // heads
        config["query_pre_attn_scalar"] = even if large else config["head_dim"]
    config["rope_theta"] = float(_number(file, f"{arch}.rope.freq_base", known.theta))
    scaling = _rope_scaling(file, arch, config, rope_factors or {})
    if scaling is not None:
        config["rope_scaling"] = scaling
        if scaling["rope_type"] == "longrope":
            # Where Phi-3's configuration has it.
            original = "original_max_position_embeddings"
            config[original] = scaling[original]
    config["vocab_size"] = _embedding_rows(file)
    config["tie_word_embeddings"] = "output.weight" not in file.tensors
    if "blk.0.attn_q.bias" in file.tensors:
        # In the other families a bias is part of the configuration's family.
        config["use_qkv_bias" if arch == "stablelm" else "attention_bias"] = True
    config |= {
        f"{ours}_token_id": file.metadata[key]
        for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
        if (key := f"tokenizer.ggml.{theirs}_token_id") in file.metadata
    }
    return config


def _own_keys(file: GgufFile, arch: str) -> dict[str, Any]:
    """What the architecture alone has; a switch stays one."""
    found: dict[str, Any] = {}
    for key, ours in ARCHITECTURES[arch].keys.items():
        value = file.metadata.get(f"{arch}.{key}")
        if isinstance(value, bool):
            found[ours] = value
        elif value is not None:
            found[ours] = _number(file, f"{arch}.{key}")
    return found


def _architecture(file: GgufFile) -> str:
    arch = file.metadata.get("general.architecture")
    if arch not in ARCHITECTURES:
        near = difflib.get_close_matches(str(arch), ARCHITECTURES, n=2, cutoff=0.3)
        nearest = f"Nearest: {', '.join(near)}. " if near else ""
        raise UnsupportedModelError(
            f"{file.path} has the architecture {arch!r}, which is not one that slmdeploy has.",
            hint=f"{nearest}Known in GGUF: {', '.join(ARCHITECTURES)}.",
        )
    parts, part = file.metadata.get("split.count", 1), file.metadata.get("split.no", 0)
    if isinstance(parts, int) and parts > 1:
        raise ModelReadError(
            f"{file.path} is part {part + 1} of {parts} of a split GGUF.",
            hint="Join the parts first: llama-gguf-split --merge FIRST-PART OUTPUT.gguf",
        )
    if file.metadata.get(f"{arch}.expert_count", 0):
        raise UnsupportedModelError(f"{file.path} is a mixture of experts, which is not supported.")
    return str(arch)


def _number(file: GgufFile, key: str, default: float | None = None) -> Any:
    value = file.metadata.get(key, default)
    if value is None:
        raise ModelReadError(f"{file.path} has no key {key!r}.")
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]  # some converters write one value a layer
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not 0 < value < math.inf:
        raise ModelReadError(f"{file.path}: key {key!r} has the unusable value {value!r}.")
    # Files keep float32; the shortest decimal of it is what the checkpoint had (1e-05).
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _head_dim(file: GgufFile, arch: str, config: Mapping[str, Any]) -> int:
    even = config["hidden_size"] // config["num_attention_heads"]
    size = int(_number(file, f"{arch}.attention.key_length", even))
    rotated = int(_number(file, f"{arch}.rope.dimension_count", size))
    if rotated != size and not ARCHITECTURES[arch].partly_rotated:
        raise UnsupportedModelError(
            f"{file.path} rotates {rotated} of {size} dimensions of a head, which is not supported."
        )
    return size


def _rotated(file: GgufFile, arch: str, head_dim: int) -> float:
    """The part of a head that is rotated."""
    rotated = int(_number(file, f"{arch}.rope.dimension_count", head_dim))
    # Half a dimension more: a fraction times the size is rounded down when it is read.
    return 1.0 if rotated == head_dim else (rotated + 0.5) / head_dim


def _embedding_rows(file: GgufFile) -> int:
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise ModelReadError(f"{file.path} has no tensor 'token_embd.weight'.")
    return embedding.meta.shape[0]


def _rope_scaling(
    file: GgufFile,
    arch: str,
    config: Mapping[str, Any],
    factors: Mapping[str, Sequence[float]],
) -> dict[str, Any] | None:
    if ROPE_FACTORS in factors:
        return _llama3_scaling(file, config, factors[ROPE_FACTORS])
    if LONG_FACTORS in factors and SHORT_FACTORS in factors:
        return _longrope_scaling(file, arch, factors)
    kind = file.metadata.get(f"{arch}.rope.scaling.type", "none")
    if kind == "none":
        return None
    scaling: dict[str, Any] = {
        "rope_type": kind,
        "factor": float(_number(file, f"{arch}.rope.scaling.factor", 1.0)),
    }
    original = file.metadata.get(f"{arch}.rope.scaling.original_context_length")
    if original is not None:
        scaling["original_max_position_embeddings"] = original
    return scaling


def _longrope_scaling(
    file: GgufFile, arch: str, factors: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    original = _number(file, f"{arch}.rope.scaling.original_context_length")
    scaling: dict[str, Any] = {
        "rope_type": "longrope",
        "long_factor": list(factors[LONG_FACTORS]),
        "short_factor": list(factors[SHORT_FACTORS]),
        "original_max_position_embeddings": original,
    }
    if file.metadata.get(f"{arch}.rope.scaling.attn_factor") is not None:
        scaling["attention_factor"] = _number(file, f"{arch}.rope.scaling.attn_factor")
    return scaling


def _llama3_scaling(
    file: GgufFile, config: Mapping[str, Any], factors: Sequence[float]
) -> dict[str, Any]:
    """Recognize Llama 3's scaling by its factors, which is all that a GGUF file keeps."""
    scaling: dict[str, Any] = {
        "rope_type": "llama3",
        "factor": max(float(round(max(factors), 4)), 1.0),
        **_LLAMA3,
        "original_max_position_embeddings": _LLAMA3_CONTEXT,
    }
    wanted = _llama3_factors(scaling, config["rope_theta"], config["head_dim"])
    if len(wanted) != len(factors) or any(
        not math.isclose(a, b, rel_tol=_FACTOR_TOLERANCE)
        for a, b in zip(wanted, factors, strict=True)
    ):
        raise UnsupportedModelError(
            f"{file.path} scales its rotary frequencies by a rule that is not Llama 3's."
        )
    return scaling


def _llama3_factors(scaling: Mapping[str, Any], theta: float, head_dim: int) -> list[float]:
    """What Llama 3.1 divides each rotary frequency by.

    Wavelengths beyond ``original / low`` are divided by ``factor``, those below
    ``original / high`` stay, and between the two the reciprocal is interpolated.
    Source: ``_compute_llama3_parameters`` of ``transformers``.
    """
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    factors = []
    for pair in range(head_dim // 2):
        wavelength = 2 * math.pi * theta ** (2 * pair / head_dim)
        turns = scaling["original_max_position_embeddings"] / wavelength
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return factors
