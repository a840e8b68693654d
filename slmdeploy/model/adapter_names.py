"""Names of the tensors of a peft adapter. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slmdeploy.errors import UnsupportedModelError

__all__ = ["Part", "Side", "part_of"]

Side = Literal["down", "up", "whole"]

_PREFIX = "base_model.model."
_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.weight)?")
_SAVED = re.compile(r"\.(?:modules_to_save|original_module)(?:\.default)?")
_OTHER = re.compile(r"\.lora_|\.(?:ia3_l|hada_|lokr_|oft_)")


@dataclass(frozen=True)
class Part:
    """One tensor of an adapter.

    Attributes:
        key: Its name there.
        module: The module that it changes; the tensor itself where it is ``whole``.
        side: ``down`` for A, ``up`` for B, ``whole`` for a tensor that stands in place.
        embedding: The module is an embedding.
    """

    key: str
    module: str
    side: Side
    embedding: bool = False


def part_of(key: str, folder: Path) -> Part:
    """Tell what a tensor's name means.

    Raises:
        UnsupportedModelError: It is none that plain LoRA has.
    """
    name = key.removeprefix(_PREFIX).replace(".base_layer.", ".")
    match = _LORA.fullmatch(name)
    if match is not None:
        side: Side = "down" if match["side"] == "A" else "up"
        return Part(key, match["module"], side, bool(match["embedding"]))
    if _OTHER.search(name):
        raise UnsupportedModelError(f"{folder} has {key!r}, which is not plain LoRA.")
    return Part(key, _SAVED.sub("", name), "whole")
