"""Tiny random models of transformers' own classes: what our decoder is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.decoder import Decoder
from slmdeploy.model.families import Family, family_for
from slmdeploy.model.load import load_decoder

VOCAB, PROMPT, STEPS = 120, 20, 16
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
"""Short waves, so that 36 positions meet kept, blended and stretched ones."""


CLASSES = {"smollm3": "SmolLM3", "stablelm": "StableLm"}
CONFIGS = {
    "gemma3": "Gemma3TextConfig",
    "smollm3": "SmolLM3Config",
    "stablelm": "StableLmConfig",
}
"""Where the names of transformers' classes are not those of the families."""


class MemorySource:
    """Tensors that are in memory already, as a ``WeightSource`` has them."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.tensors = tensors

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.tensors))

    def load(self, name: str) -> torch.Tensor:
        return self.tensors[name].to(torch.float32).clone()


@dataclass
class Reference:
    """A model of transformers, and what ours is made of."""

    model: nn.Module
    hf_config: dict[str, Any]

    @property
    def family(self) -> Family:
        return family_for(self.hf_config)

    @property
    def config(self) -> DecoderConfig:
        return self.family.config(self.hf_config)

    @property
    def source(self) -> MemorySource:
        return MemorySource(dict(self.model.state_dict()))

    def decoder(self, positions: int = 64) -> Decoder:
        return load_decoder(self.config, self.family, self.source, positions=positions)

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor, start: int = 0) -> torch.Tensor:
        """float32 [tokens, vocabulary], without a cache; ``start`` is the first position."""
        positions = torch.arange(start, start + len(tokens))[None]
        return self.model(tokens[None], position_ids=positions, use_cache=False).logits[0]


def reference(family: str, seed: int = 0, **changes: Any) -> Reference:
    """A random model of a family's class."""
    import transformers

    config = getattr(transformers, CONFIGS.get(family, f"{family.capitalize()}Config"))(
        **{**SIZES, **changes}, attn_implementation="eager"
    )
    name = CLASSES.get(family, family.capitalize())
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(requires_grad=False)
        # Gemma's norms add 1 to their weights.
        mean = 1.0 if name.endswith("norm.weight") and "gemma" not in family else 0.0
        # Of a size that keeps hidden states and scores about as large as trained ones are.
        spread = parameter.shape[1] ** -0.5 if parameter.dim() == 2 else 0.2
        parameter.normal_(mean, spread, generator=generator)
    return Reference(model, config.to_dict())


def tokens(count: int = PROMPT + STEPS, seed: int = 7) -> torch.Tensor:
    return torch.randint(0, VOCAB, (count,), generator=torch.Generator().manual_seed(seed))
