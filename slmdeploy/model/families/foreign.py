"""Families of decoders that go through ``transformers``' own code, for ExecuTorch alone."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FOREIGN"]

FOREIGN: Mapping[str, str] = {
    "apertus": "Apertus 8B, 70B",
    "arcee": "AFM 4.5B",
    "bloom": "BLOOM 560M to 176B",
    "codegen": "CodeGen 350M to 16B",
    "cohere": "Command R, Aya 23",
    "cohere2": "Command R7B",
    "ernie4_5": "ERNIE 4.5 0.3B",
    "exaone4": "EXAONE 4.0 1.2B, 32B",
    "falcon": "Falcon 7B, 40B",
    "gemma": "Gemma 2B, 7B",
    "glm": "GLM-4 9B, GLM-Edge",
    "glm4": "GLM-4-0414 9B, 32B",
    "gpt2": "GPT-2, DistilGPT2",
    "gpt_bigcode": "SantaCoder, StarCoder",
    "gpt_neox": "Pythia, GPT-NeoX 20B",
    "gptj": "GPT-J 6B",
    "helium": "Helium 1 2B",
    "hunyuan_v1_dense": "Hunyuan 0.5B to 7B",
    "nemotron": "Minitron 4B, 8B",
    "olmo": "OLMo 1B, 7B",
    "olmo3": "OLMo 3 7B",
    "opt": "OPT 125M to 66B",
    "persimmon": "Persimmon 8B",
    "phi": "Phi-1, Phi-1.5, Phi-2",
    "seed_oss": "Seed-OSS 36B",
    "starcoder2": "StarCoder2 3B, 7B",
}
"""The ``model_type`` of each, with models that have it. Each is held against ``transformers`` by a
test; whatever is not here, and no family of ours, is refused."""
