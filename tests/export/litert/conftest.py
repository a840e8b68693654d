"""Converted decoders, kept in pytest's cache until what makes them changes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import slmdeploy
from slmdeploy.export.litert.plugin import LITERT
from slmdeploy.progress import silent
from tests.export.litert import tiny
from tests.runtime.conftest import only_one

Converted = Callable[..., Path]


def _decides() -> str:
    package = Path(slmdeploy.__file__).parent
    sources = [*sorted((package / "export/litert").glob("*.py")), package / "model/decoder.py"]
    digest = hashlib.sha256(Path(tiny.__file__).read_bytes())
    for source in sources:
        digest.update(source.read_bytes())
    digest.update(metadata.version("litert-torch").encode())
    return digest.hexdigest()[:12]


@pytest.fixture(scope="session")
def converted(request: pytest.FixtureRequest) -> Converted:
    """Give the folder of a family's decoder, converted: ``converted(family, **options)``."""
    cache = request.config.cache
    assert cache is not None
    parent = cache.mkdir(f"litert-{_decides()}")

    def make(family: str = "qwen2", **options: object) -> Path:
        words = [family, *(f"{key}-{value}" for key, value in sorted(options.items()))]
        folder = parent / "-".join(words).replace(" ", "")
        with only_one(parent):
            if LITERT.converts(folder):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    chosen = tiny.OPTIONS.model_copy(update=options)
                    LITERT.convert(tiny.decoder(family), chosen, folder, silent)
        return folder

    return make


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board's runner, laid out as on a device."""
    return tiny.lay_out(tmp_path_factory.mktemp("litert-runner"))
