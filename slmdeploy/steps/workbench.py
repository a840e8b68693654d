"""What one command has read, converted and compressed, for all of its targets.

Imports torch. A decoder is read once, and compressed once for each recipe. Where there is
one target alone, compression takes the decoder that was read, so that there are never two.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from slmdeploy.compress.recipe import Recipe
from slmdeploy.errors import ModelReadError
from slmdeploy.export.plugin import Golden
from slmdeploy.model.model import Model
from slmdeploy.progress import Progress, Step
from slmdeploy.steps.heap import return_at_once

if TYPE_CHECKING:
    from slmdeploy.compress.quantize import Compressed
    from slmdeploy.model.decoder import Decoder

__all__ = ["Workbench", "timed"]

T = TypeVar("T")


def timed(progress: Progress, name: str, work: Callable[[], T]) -> T:
    """Do a step, and tell when it begins and ends."""
    progress(Step(name))
    result = work()
    progress(Step(name, finished=True))
    return result


class Workbench:
    """The decoder of a model, as it is read and as recipes make it.

    Args:
        model: A decoder.
        keep: There are several targets: keep what is read and compressed.
    """

    def __init__(self, model: Model, *, keep: bool) -> None:
        return_at_once()
        self._model = model
        self._keep = keep
        self._decoder: Decoder | None = None
        self._compressed: dict[str, Compressed] = {}
        self._logits: dict[str, npt.NDArray[np.float32]] = {}
        self._folders: set[Path] = set()

    def decoder(self, positions: int, progress: Progress) -> Decoder:
        """The decoder in float32, with rotary tables of so many positions; not to be changed."""
        from slmdeploy.model.families import family_for
        from slmdeploy.model.load import load_decoder

        config, weights = self._model.config, self._model.weights
        if config is None:
            raise ModelReadError(f"{self._model.name} is not a decoder.")
        if self._decoder is None:
            family = family_for(self._model.hf_config)
            self._decoder = timed(
                progress,
                "read the weights",
                lambda: load_decoder(config, family, weights, positions=positions),
            )
        return _resized(self._decoder, positions)

    def compressed(self, recipe: Recipe, positions: int, progress: Progress) -> Compressed:
        """The decoder as a recipe makes it.

        Raises:
            RecipeError: The recipe does not go with the model.
        """
        from slmdeploy.compress.quantize import compress, round_floats

        key = _key(recipe)
        if key in self._compressed:
            found = self._compressed[key]
            if found.module.positions != positions:
                _resized(found.module, positions)
                if recipe.floats == "fp16":
                    round_floats(found.module)  # the tables are new
            return found
        decoder = self.decoder(positions, progress)
        if self._keep:
            decoder = copy.deepcopy(decoder)
        else:
            self._decoder = None  # it is that one from here on
        name = f"compress ({recipe.name})"
        found = timed(progress, name, lambda: compress(decoder, recipe))
        if self._keep:
            self._compressed[key] = found
        return found

    def logits(
        self, compressed: Compressed, golden: Golden, progress: Progress
    ) -> npt.NDArray[np.float32]:
        """What the compressed decoder gives for golden tokens, float32 [T + 1, vocabulary]."""
        from slmdeploy.steps import references

        prompt, continuation = golden
        key = json.dumps([_key(compressed.recipe), prompt.tolist(), continuation.tolist()])
        if key not in self._logits:
            self._logits[key] = timed(
                progress,
                "run the compressed model",
                lambda: references.compressed_logits(compressed, prompt, continuation),
            )
        return self._logits[key]

    def lent(self, compressed: Compressed) -> Compressed:
        """A compressed decoder for an exporter that takes it apart."""
        if not self._keep:
            return compressed
        return type(compressed)(copy.deepcopy(compressed.module), compressed.recipe)

    def remember(self, folder: Path) -> None:
        """A folder of conversions, which go when the work is done."""
        self._folders.add(folder)

    def close(self) -> None:
        """Let go of everything."""
        self._decoder = None
        self._compressed.clear()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


def _key(recipe: Recipe) -> str:
    said: dict[str, Any] = recipe.model_dump(mode="json", exclude={"name", "description"})
    return json.dumps(said, sort_keys=True)


def _resized(decoder: Decoder, positions: int) -> Decoder:
    if decoder.positions != positions:
        decoder.positions = positions
        decoder.compute_constants()
    return decoder
