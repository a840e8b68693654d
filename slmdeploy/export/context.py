"""How many tokens the cache of an artifact holds. No torch here."""

from __future__ import annotations

from slmdeploy.errors import ExportError
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.foreign import ForeignConfig

__all__ = ["LONGEST_DEFAULT", "choose_context"]

LONGEST_DEFAULT = 2048


def choose_context(config: DecoderConfig | ForeignConfig, asked: int | None) -> int:
    """Tokens that the cache shall hold.

    Raises:
        ExportError: More is asked than the model was trained for.
    """
    if asked is None:
        return min(config.context, LONGEST_DEFAULT)
    if asked > config.context:
        raise ExportError(
            f"A context of {asked} tokens is beyond the model's {config.context}.",
            hint=f"Run again with --context {config.context} or less.",
        )
    return asked
