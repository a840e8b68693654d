"""An artifact for the LiteRT runner, and the runner as a board has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.compress.recipe import load_recipe
from tests.export.litert.conftest import converted, program
from tests.export.litert.tiny import compressed, export

__all__ = ["artifact", "converted", "program"]


@pytest.fixture(scope="session")
def artifact(converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder in float32, with chunks of 4 and 8 tokens and a context of 48."""
    path = tmp_path_factory.mktemp("artifact") / "model.tflite"
    export(compressed(load_recipe("none")), converted(), path)
    return path
