"""Checks that a model's parts agree, before any work begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.errors import ModelReadError, TokenizerError
from slmdeploy.model.tokenizer import END_OF_TURN, Tokenizer
from slmdeploy.model.weights import WeightSource

__all__ = ["check_vocabulary", "quantization_of", "refuse_quantized", "tokenizer_remarks"]

_TABLES = (
    *("embed_tokens.weight", "word_embeddings.weight", "tok_embeddings.weight"),
    *("wte.weight", "embed_in.weight"),
)


def check_vocabulary(
    weights: WeightSource, vocab_size: int | None, tokenizer: Tokenizer | None
) -> tuple[str, ...]:
    """Compare the tokenizer, the configuration and the embedding table.

    Args:
        weights: The checkpoint.
        vocab_size: What ``config.json`` says; ``None`` where it does not.
        tokenizer: The tokenizer; ``None`` where there is none.

    Returns:
        Remarks on differences that do no harm.

    Raises:
        ModelReadError: There is no embedding table, or it has another size than
            ``config.json`` says.
        TokenizerError: The tokenizer has ids that the embedding table has no row for.
    """
    name = next((name for name in weights.names() if name.endswith(_TABLES)), None)
    if name is None:
        raise ModelReadError("The checkpoint has no embedding table ('embed_tokens.weight').")
    rows = weights.shape(name)[0]
    if vocab_size is not None and rows != vocab_size:
        raise ModelReadError(
            f"config.json says vocab_size = {vocab_size}, but the embedding table has {rows} rows.",
            hint="They are not of the same checkpoint.",
        )
    if tokenizer is None or tokenizer.vocab_size == rows:
        return ()
    if tokenizer.vocab_size > rows:
        raise TokenizerError(
            f"The tokenizer has ids up to {tokenizer.vocab_size - 1}, but the embedding table has "
            f"only {rows} rows.",
            hint="The tokenizer is not this model's, or tokens were added without training.",
        )
    unused = rows - tokenizer.vocab_size
    return (f"{unused} of {rows} embedding rows have no token (padding of the vocabulary).",)


def tokenizer_remarks(tokenizer: Tokenizer | None, *, generates: bool) -> tuple[str, ...]:
    """What is odd about a tokenizer without making it useless.

    Args:
        tokenizer: The tokenizer; ``None`` where there is none.
        generates: The model writes text, so that stops matter.
    """
    if tokenizer is None:
        return ()
    fault = tokenizer.round_trip_fault()
    stops = _stop_remarks(tokenizer) if generates else ()
    return (() if fault is None else (f"Tokenizer: {fault}.",)) + stops


def _stop_remarks(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Stops that are missing, or that no token is."""
    remarks = []
    unknown = [i for i in tokenizer.eos_ids if not 0 <= i < tokenizer.vocab_size]
    if unknown:
        remarks.append(f"The configurations name the stop token {unknown[0]}, which is no token.")
    if not set(tokenizer.stop_ids) - set(unknown):
        remarks.append("No token is known to end a text: generation ends at its limit alone.")
    template = tokenizer.chat_template or ""
    unsaid = [
        text
        for text in END_OF_TURN
        if text in template
        and (found := tokenizer.id_of(text)) in tokenizer.stop_ids
        and found not in tokenizer.eos_ids
    ]
    if unsaid:
        remarks.append(
            f"The chat template ends turns with {unsaid[0]!r}, which no configuration names as a "
            "stop (generation_config.json); it is taken as one."
        )
    return tuple(remarks)


def quantization_of(hf_config: Mapping[str, Any]) -> str | None:
    """How a checkpoint's ``config.json`` says it is quantized (``gptq``, ``awq``, ...)."""
    found = hf_config.get("quantization_config", hf_config.get("compression_config"))
    if not isinstance(found, Mapping):
        return None
    return str(found.get("quant_method", found.get("quant_type", "unknown method")))


def refuse_quantized(hf_config: Mapping[str, Any], where: str) -> None:
    """Refuse a checkpoint whose tensors are packed integers.

    Raises:
        ModelReadError: It is one; the message names the method.
    """
    method = quantization_of(hf_config)
    if method is not None:
        raise ModelReadError(
            f"{where} is already quantized ({method}), and such checkpoints are not read yet.",
            hint="Use the model's original float checkpoint, or a GGUF file of it.",
        )
