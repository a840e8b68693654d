"""A model in a GGUF file."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.model.audit import audit_headers
from slmdeploy.model.checks import check_vocabulary, tokenizer_remarks
from slmdeploy.model.families import family_for
from slmdeploy.model.gguf_source import open_gguf_source
from slmdeploy.model.gguf_tokenizer import gguf_tokenizer
from slmdeploy.model.licence import licence_of_gguf
from slmdeploy.model.model import Model
from slmdeploy.model.ref import ModelRef

__all__ = ["read_gguf"]


def read_gguf(ref: ModelRef, path: Path) -> Model:
    """Read a GGUF file of an architecture that ``gguf_families`` has.

    Raises:
        ModelReadError: The file is damaged, or parts of it contradict each other.
        UnsupportedModelError: The architecture is not one we have.
        TokenizerError: The tokenizer is damaged.
        MissingExtraError: ``gguf`` is not installed.
    """
    source = open_gguf_source(path)
    metadata = source.file.metadata
    family = family_for(source.hf_config)
    config = family.config(source.hf_config)
    tokenizer, reason = gguf_tokenizer(metadata, path)
    licence = licence_of_gguf(metadata, path)
    kind = source.quantization
    return Model(
        ref=ref,
        path=path,
        kind="decoder",
        hf_config=source.hf_config,
        config=config,
        weights=source,
        tokenizer=tokenizer,
        tokenizer_reason=reason,
        license=licence.name,
        license_text=licence.text,
        note=None if kind is None else f"dequantized {kind}",
        compression=kind,
        remarks=tokenizer_remarks(tokenizer, generates=True)
        + check_vocabulary(source, config.vocab_size, tokenizer)
        + audit_headers(config, family, source),
    )
