"""Models that go through ``transformers`` as they are: encoders that classify or embed text.

This module imports torch; nothing on the way to ``slmdeploy --help`` imports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.extras import import_transformers
from slmdeploy.model.model import Model
from slmdeploy.model.pooling import Mode, Pooling
from slmdeploy.model.tasks import Task
from slmdeploy.model.weights import require_finite

__all__ = [
    "INPUTS",
    "Classifier",
    "Embedder",
    "encode_fixed",
    "example_inputs",
    "load_generic",
    "load_pretrained",
]

INPUTS = ("input_ids", "attention_mask")
"""What encoders take."""

_AUTO: Mapping[Task, str] = {
    "classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "embedding": "AutoModel",
}
_AUTO_DECODER = "AutoModelForCausalLM"
_WITH_POOLER = ("bert", "mobilebert", "roberta", "xlm-roberta")
_BY_TOKEN = 3
"""Axes of logits that each token has."""

_SHORTEST = 1e-12
_FAR = 1e4
"""Beyond what any token's value is; smaller than what float16 holds."""

_EXAMPLE = "turn on the light in the kitchen"
_FILLED = 3, 4
"""Share of the room above the next shorter length that an example fills."""


class Classifier(nn.Module):
    """A classifier of ``transformers`` with plain tensors in and out.

    Args:
        model: What an auto class of ``transformers`` loaded; its answer has ``logits``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify one text, or each of its tokens.

        Args:
            input_ids: int64 [1, L], filled with the padding token.
            attention_mask: int64 [1, L], 1 where there is a token.

        Returns:
            float32 [1, classes] or [1, L, classes], the logits; zero where there is no token.
        """
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        if logits.ndim == _BY_TOKEN:
            # What a model says of its filling means nothing, and with windows that see nothing
            # else it is another thing in float16.
            return torch.where(attention_mask[..., None] > 0, logits, 0.0)
        return logits


class Embedder(nn.Module):
    """An encoder with pooling and normalization in the graph.

    Args:
        model: What ``AutoModel`` loaded; its answer begins with the tokens' vectors.
        pooling: How these become one.
    """

    def __init__(self, model: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed one text.

        Args:
            input_ids: int64 [1, L], filled with the padding token.
            attention_mask: int64 [1, L], 1 where there is a token.

        Returns:
            float32 [1, D]: ``hidden`` values for each way of pooling.
        """
        tokens: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
        mask = attention_mask[..., None].to(tokens.dtype)
        found = torch.cat([_pooled(mode, tokens, mask) for mode in self.pooling.modes], dim=-1)
        if not self.pooling.normalize:
            return found
        length = torch.sqrt((found * found).sum(dim=-1, keepdim=True))
        return found / length.clamp(min=_SHORTEST)


def _pooled(mode: Mode, tokens: Tensor, mask: Tensor) -> Tensor:
    """Vectors [1, L, D] and a mask [1, L, 1] to [1, D]."""
    if mode == "cls":
        return tokens[:, 0]
    if mode == "max":
        return (tokens * mask + (mask - 1.0) * _FAR).amax(dim=1)
    total, count = (tokens * mask).sum(dim=1), mask.sum(dim=1).clamp(min=1e-9)
    return total / (count if mode == "mean" else torch.sqrt(count))


def load_generic(model: Model) -> nn.Module:
    """Load a model of kind ``generic`` in float32, ready to be run or exported.

    Code that a checkpoint brings is never run.

    Raises:
        ModelReadError: ``transformers`` cannot load it, tensors are missing from the
            checkpoint, or weights are not finite.
        UnsupportedModelError: ``transformers`` does not have its architecture.
        MissingExtraError: ``transformers`` is not installed.
    """
    if model.given is not None:
        return model.given.module
    loaded = load_pretrained(model)
    if model.pooling is not None:
        return Embedder(loaded, model.pooling).eval()
    return Classifier(loaded).eval()


def load_pretrained(model: Model) -> nn.Module:
    """Load the class of ``transformers`` that a checkpoint names, in float32.

    Raises:
        ModelReadError: ``transformers`` cannot load it, tensors are missing from the
            checkpoint, or weights are not finite.
        UnsupportedModelError: ``transformers`` does not have its architecture.
        MissingExtraError: ``transformers`` is not installed.
    """
    folder = model.hf_directory
    if folder is None:
        raise UnsupportedModelError(f"{model.path} is not a folder that transformers can load.")
    loaded, missing = _from_pretrained(model, folder)
    if missing:  # transformers would go on with random numbers in their place
        raise ModelReadError(
            f"{folder} lacks {len(missing)} tensors of {type(loaded).__name__}, such as "
            f"{missing[0]!r}."
        )
    for name, parameter in loaded.named_parameters():
        require_finite(parameter.detach(), name, folder)
    return loaded.eval().requires_grad_(requires_grad=False)


def _from_pretrained(model: Model, folder: Path) -> tuple[nn.Module, list[str]]:
    """The model, and the names of the tensors that its checkpoint lacks."""
    transformers = import_transformers("Loading the model")
    decoder = model.kind == "decoder"
    auto = getattr(
        transformers, _AUTO_DECODER if decoder else _AUTO[model.task or "classification"]
    )
    more: dict[str, Any] = {}
    if model.task == "embedding" and model.hf_config.get("model_type") in _WITH_POOLER:
        more["add_pooling_layer"] = False  # its own pooler is not what pools here
    # What an adapter changes, and what was read from pickles, is not in the folder's safetensors.
    apart = model.adapter is not None or not any(folder.glob("*.safetensors"))
    try:
        with _quiet(transformers):
            if apart:
                config = transformers.AutoConfig.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
                with torch.device("meta"):  # only its class is of interest
                    auto = type(auto.from_config(config, trust_remote_code=False))
                state = {name: model.weights.load(name) for name in model.weights.names()}
                more |= {"config": config, "state_dict": state}
            loaded, report = auto.from_pretrained(
                None if apart else folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="eager",
                dtype=torch.float32,
                output_loading_info=True,
                **more,
            )
    except KeyError as error:
        raise UnsupportedModelError(f"transformers does not have {error}.") from error
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ModelReadError(f"transformers cannot load {folder}: {why}") from error
    return loaded, sorted(report["missing_keys"])


def encode_fixed(model: Model, text: str, length: int) -> tuple[Tensor, Tensor]:
    """Cut a text to a fixed number of tokens, or fill it up.

    A text that is too long keeps its last token, which closes it (``[SEP]``).

    Returns:
        ``input_ids`` and ``attention_mask``, both int64 [1, length].

    Raises:
        ModelReadError: The model has no tokenizer.
    """
    if model.tokenizer is None:
        raise ModelReadError(f"Text needs a tokenizer. {model.tokenizer_reason}")
    ids = model.tokenizer.encode(text)
    ids = ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]
    return _padded(ids, length, _pad_id(model))


def example_inputs(model: Model, length: int, *, shorter: int = 0) -> tuple[Tensor, ...]:
    """Inputs to trace or try a model with: a short sentence, or ids where there is no tokenizer.

    Args:
        model: A model of kind ``generic``.
        length: Tokens, at least 2.
        shorter: The next shorter length that is exported: the example is too long for it.

    Returns:
        ``input_ids`` and ``attention_mask``, both int64 [1, length]; of a module of the
        user's its own.
    """
    if model.given is not None:
        return model.given.inputs
    tokens = length
    if shorter:
        part, whole = _FILLED
        tokens = shorter + max(1, (length - shorter) * part // whole)
    if model.tokenizer is None:
        vocabulary = int(model.hf_config.get("vocab_size", 2))
        ids = [i % vocabulary for i in range(1, length if not shorter else tokens + 1)]
        return _padded(ids, length, 0)
    if not shorter:
        return encode_fixed(model, _EXAMPLE, length)
    text = " ".join([_EXAMPLE] * tokens)  # a word is a token at least
    cut, mask = encode_fixed(model, text, tokens)
    rest = torch.full((1, length - tokens), _pad_id(model))
    return torch.cat([cut, rest], dim=1), torch.cat([mask, torch.zeros_like(rest)], dim=1)


def _pad_id(model: Model) -> int:
    given = None if model.tokenizer is None else model.tokenizer.pad_id
    return int(model.hf_config.get("pad_token_id") or 0) if given is None else given


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Keep the library's own progress bar off the terminal, which is ours."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _padded(ids: list[int], length: int, pad_id: int) -> tuple[Tensor, Tensor]:
    rest = length - len(ids)
    input_ids = torch.tensor([ids + [pad_id] * rest], dtype=torch.int64)
    mask = torch.tensor([[1] * len(ids) + [0] * rest], dtype=torch.int64)
    return input_ids, mask
