"""Optional packages, imported where they are used and named by their extra if missing."""

from __future__ import annotations

from types import ModuleType

from slmdeploy.errors import MissingExtraError

__all__ = ["import_gguf", "import_torch", "import_transformers"]


def import_torch(what: str) -> ModuleType:
    """Import torch.

    Args:
        what: What it is needed for, as the subject of a sentence.

    Raises:
        MissingExtraError: torch is not installed; an exporter's extra brings it.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("executorch", what) from error
    return torch


def import_gguf() -> ModuleType:
    """Import the ``gguf`` package.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("models", "Reading a GGUF file") from error
    return gguf  # type: ignore[no-any-return]


def import_transformers(what: str) -> ModuleType:
    """Import ``transformers``.

    Args:
        what: What it is needed for, as the subject of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("models", what) from error
    return transformers  # type: ignore[no-any-return]
