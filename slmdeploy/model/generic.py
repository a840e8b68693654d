"""Models that go through ``transformers`` as they are: encoders that classify text.

This module imports torch; nothing on the way to ``slmdeploy --help`` imports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor, nn

from slmdeploy.errors import ModelReadError, UnsupportedModelError
from slmdeploy.model.extras import import_transformers
from slmdeploy.model.model import Model
from slmdeploy.model.weights import require_finite

__all__ = ["Classifier", "encode_fixed", "example_inputs", "load_generic"]

_EXAMPLE = "turn on the light in the kitchen"


class Classifier(nn.Module):
    """A classifier of ``transformers`` with plain tensors in and out.

    Args:
        model: What ``AutoModelForSequenceClassification`` loaded.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Classify one text.

        Args:
            input_ids: int64 [1, L], filled with the padding token.
            attention_mask: int64 [1, L], 1 where there is a token.

        Returns:
            float32 [1, classes], the logits.
        """
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def load_generic(model: Model) -> Classifier:
    """Load a model of kind ``generic`` in float32, ready to be run or exported.

    Code that a checkpoint brings is never run.

    Raises:
        ModelReadError: ``transformers`` cannot load it, tensors are missing from the
            checkpoint, or weights are not finite.
        UnsupportedModelError: ``transformers`` does not have its architecture.
        MissingExtraError: ``transformers`` is not installed.
    """
    folder = model.hf_directory
    if folder is None:
        raise UnsupportedModelError(f"{model.path} is not a folder that transformers can load.")
    transformers = import_transformers("Loading a classifier")
    try:
        with _quiet(transformers):
            loaded, report = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation="eager",
                dtype=torch.float32,
                output_loading_info=True,
            )
    except KeyError as error:
        raise UnsupportedModelError(f"transformers does not have {error}.") from error
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ModelReadError(f"transformers cannot load {folder}: {why}") from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        raise ModelReadError(
            f"{folder} lacks {len(missing)} tensors of {type(loaded).__name__}, such as "
            f"{missing[0]!r}."
        )
    for name, parameter in loaded.named_parameters():
        require_finite(parameter.detach(), name, folder)
    return Classifier(loaded.requires_grad_(requires_grad=False)).eval()


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
    pad_id = model.tokenizer.pad_id
    if pad_id is None:
        pad_id = int(model.hf_config.get("pad_token_id") or 0)
    return _padded(ids, length, pad_id)


def example_inputs(model: Model, length: int) -> tuple[Tensor, Tensor]:
    """Inputs to trace or try a model with: a short sentence, or ids where there is no tokenizer.

    Args:
        model: A model of kind ``generic``.
        length: Tokens, at least 2.

    Returns:
        ``input_ids`` and ``attention_mask``, both int64 [1, length].
    """
    if model.tokenizer is not None:
        return encode_fixed(model, _EXAMPLE, length)
    vocabulary = int(model.hf_config.get("vocab_size", 2))
    return _padded([i % vocabulary for i in range(1, length)], length, 0)


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
