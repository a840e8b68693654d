"""A model that was found and understood, with its weights still on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.foreign import ForeignConfig
from slmdeploy.model.hashing import files_sha256
from slmdeploy.model.pooling import Pooling
from slmdeploy.model.ref import ModelRef
from slmdeploy.model.tasks import Task
from slmdeploy.model.tokenizer import Tokenizer
from slmdeploy.model.weights import WeightSource

if TYPE_CHECKING:
    from slmdeploy.model.modules import GivenModule

__all__ = ["Model", "ModelKind", "ModelSource"]

ModelKind = Literal["decoder", "generic"]
ModelSource = Literal["slmdeploy", "transformers", "module"]


@dataclass(frozen=True)
class Model:
    """What is known of a model.

    Attributes:
        ref: How it was named.
        path: The folder or GGUF file that it is in.
        kind: ``decoder`` (writes text, through a cache) or ``generic`` (a module with
            example inputs).
        hf_config: ``config.json``, or what a GGUF file has in its place.
        config: Our decoder's configuration; ``None`` where it does not go through that.
        foreign: What is known of a decoder that goes through ``transformers``' own code.
        weights: The tensors, read when they are asked for.
        tokenizer: ``None`` where there is none.
        tokenizer_reason: Why there is none.
        license: Its licence's name; ``None`` where it does not say.
        license_text: The licence, where a file has it.
        note: What must be said of it wherever it appears (``dequantized Q4_1``).
        compression: The compression that is already in it, as stored (``Q4_1``).
        labels: Names of a classifier's classes, in the order of its logits.
        remarks: Smaller things worth knowing, a sentence each.
        task: What a ``generic`` model gives; ``None`` for a decoder.
        pooling: How an embedding model pools its tokens.
        given: A module of the user's, with its example inputs.
        adapter: Name of the LoRA adapter that is merged into the weights.
    """

    ref: ModelRef
    path: Path
    kind: ModelKind
    hf_config: Mapping[str, Any]
    config: DecoderConfig | None
    weights: WeightSource
    tokenizer: Tokenizer | None
    tokenizer_reason: str | None
    license: str | None = None
    license_text: str | None = None
    note: str | None = None
    compression: str | None = None
    labels: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    task: Task | None = None
    pooling: Pooling | None = None
    given: GivenModule | None = None
    adapter: str | None = None
    foreign: ForeignConfig | None = None

    @property
    def name(self) -> str:
        """A short name that can stand in a file name."""
        return self.ref.name

    @property
    def source(self) -> ModelSource:
        """Whose code is exported: ours, that of ``transformers``, or a module of the user's."""
        if self.config is not None:
            return "slmdeploy"
        return "transformers" if self.given is None else "module"

    @property
    def vocab_size(self) -> int | None:
        """Tokens that a decoder chooses from; ``None`` for ``generic``."""
        found = self.config or self.foreign
        return None if found is None else found.vocab_size

    @property
    def hf_directory(self) -> Path | None:
        """The folder that ``transformers`` can load; ``None`` for a GGUF file."""
        return self.path if self.path.is_dir() else None

    @cached_property
    def weights_sha256(self) -> str:
        """A hash of what holds the weights; read when first asked for.

        Raises:
            ModelReadError: A file cannot be read.
        """
        if self.given is not None:
            return self.given.sha256
        return files_sha256(self.weights.files())
