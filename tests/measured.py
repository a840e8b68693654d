"""What tests measure of a family, kept for ``scripts/models-table`` where that asks for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def measured() -> Callable[..., float]:
    """Note an error and give it back: ``measured(family, what, error, **more)``.

    Notes are lines of JSON in the file that ``SLMDEPLOY_MEASURED`` names.
    """
    place = os.environ.get("SLMDEPLOY_MEASURED")

    def note(family: str, what: str, error: float, **more: Any) -> float:
        if place:
            row = {"family": family, "what": what, "error": error, **more}
            with Path(place).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return error

    return note
