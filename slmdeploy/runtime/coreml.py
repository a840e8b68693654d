"""Drives a Core ML package on this computer: by our evaluator, or on a Mac by Core ML.

Both are engines: a function's name and its inputs in, its outputs out, states kept between.
What is above them - chunks, padding, rows - is the same for both, and is what an app does
(the README.md in a bundle).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.errors import EvaluationError, MissingExtraError
from slmdeploy.export.mil.evaluate import Evaluator, Watch
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.mil.rounding import Mode
from slmdeploy.runtime.protocol import Event, GenerateRequest, InvokeRequest, ScoreRequest

__all__ = [
    "CoremlRunner",
    "Engine",
    "EvaluatorEngine",
    "PredictEngine",
    "find_packages",
]

_Array = npt.NDArray[Any]
_OUT = "_out"
_IDS, _POSITION, _LAST, _LOGITS = "ids", "position", "last", "logits"


class Engine(Protocol):
    """Runs the functions of a package."""

    def start(self) -> None:
        """Begin with empty states."""

    def call(self, function: str, inputs: Mapping[str, _Array]) -> Mapping[str, _Array]:
        """Run a function; gives its outputs by name."""


def find_packages(artifact: Path) -> dict[str, Path]:
    """The packages of an artifact: itself under the name ``""``, or one for each function.

    Raises:
        EvaluationError: There is none.
    """
    if (artifact / "Manifest.json").is_file():
        return {"": artifact}
    found = {path.stem: path for path in sorted(artifact.glob("*.mlpackage"))}
    if not found:
        raise EvaluationError(f"{artifact} is no Core ML package, and has none in it.")
    return found


class EvaluatorEngine:
    """Our evaluator, on any computer.

    Args:
        artifact: A package, or a folder with one for each function.
        mode: ``fp32`` or ``fp16``; see ``export/mil/evaluate.py``.
        watch: Is told of each result.

    Raises:
        ModelReadError: A package is damaged.
    """

    def __init__(self, artifact: Path, mode: Mode, *, watch: Watch | None = None) -> None:
        self._evaluators = {
            name: Evaluator(open_package(path), mode, watch=watch)
            for name, path in find_packages(artifact).items()
        }

    def start(self) -> None:
        """Begin with empty states."""
        for evaluator in self._evaluators.values():
            evaluator.reset()

    def call(self, function: str, inputs: Mapping[str, _Array]) -> Mapping[str, _Array]:
        """Run a function.

        Raises:
            EvaluationError: An operator is not known, or an input does not fit.
        """
        apart = self._evaluators.get(function)
        if apart is not None:
            return apart.run(apart.package.default_function, inputs)
        joined = self._evaluators[""]
        known = joined.package.functions
        return joined.run(
            function if function in known else joined.package.default_function, inputs
        )


class PredictEngine:
    """Core ML itself, by coremltools, which can predict on macOS alone.

    Not tried on a Mac by those who wrote it. Functions of a package take one state, which
    the first of them to be called makes.

    Args:
        artifact: A package, or a folder with one for each function.
        model_class: ``coremltools.models.MLModel``, or what stands for it in a test.

    Raises:
        MissingExtraError: coremltools is not installed.
    """

    def __init__(self, artifact: Path, model_class: Callable[..., Any] | None = None) -> None:
        self._packages = find_packages(artifact)
        self._make = model_class or _model_class()
        self._models: dict[str, Any] = {}
        self._state: Any = None

    def start(self) -> None:
        """Begin with empty states."""
        self._state = None

    def call(self, function: str, inputs: Mapping[str, _Array]) -> Mapping[str, _Array]:
        """Run a function."""
        if function not in self._models:
            self._models[function] = self._load(function)
        model, stateful = self._models[function]
        if stateful and self._state is None:
            self._state = model.make_state()
        given = model.predict(dict(inputs), **({"state": self._state} if stateful else {}))
        return {name: np.asarray(value) for name, value in given.items()}

    def _load(self, function: str) -> tuple[Any, bool]:
        path = self._packages.get(function, self._packages.get(""))
        package = open_package(path) if path is not None else None
        if path is None or package is None:
            raise EvaluationError(f"No package has a function {function!r}.")
        name = function if function in package.functions else package.default_function
        several = {"function_name": name} if len(package.functions) > 1 else {}
        return self._make(str(path), **several), bool(package.function(name).states)


def _model_class() -> Callable[..., Any]:
    try:
        from coremltools.models import MLModel
    except ImportError as error:
        raise MissingExtraError("coreml", "Prediction by Core ML") from error
    found: Callable[..., Any] = MLModel
    return found


class CoremlRunner:
    """See ``runtime.protocol.Runner``.

    Args:
        engine: Runs the functions.
        manifest: Of the bundle.
    """

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        self._engine = engine
        self._manifest = manifest

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        """Not done on a host: an app writes text.

        Raises:
            EvaluationError: Always.
        """
        raise EvaluationError(
            f"Text of {request.max_new} tokens is not written by the evaluator.",
            hint="It verifies packages (slmdeploy verify); an app on the device writes text.",
        )

    def score(self, request: ScoreRequest) -> npt.NDArray[np.float32]:
        """Logits for given tokens: [len(tokens) - prompt_length + 1, vocabulary].

        Raises:
            EvaluationError: The package does not take what its manifest says.
        """
        return _Conversation(self._engine, self._manifest).score(request)

    def invoke(self, request: InvokeRequest) -> tuple[tuple[_Array, ...], tuple[Event, ...]]:
        """Run a function of any model.

        Raises:
            EvaluationError: The package does not take these inputs.
        """
        methods = self._manifest.artifact.methods
        name = request.method if request.method in methods else next(iter(methods))
        method = methods[name]
        given = dict(zip((one.name for one in method.inputs), request.inputs, strict=True))
        self._engine.start()
        found = self._engine.call(name, given)
        return tuple(found[output.name] for output in method.outputs), ()


class _Conversation:
    """Tokens from the first to the last, with the cache where the package wants it."""

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        if manifest.prefill_chunk is None or manifest.cache is None:
            raise EvaluationError(f"The manifest of {manifest.name} names no chunk or no cache.")
        self._engine = engine
        self._methods = manifest.artifact.methods
        self._chunk, self._places = manifest.prefill_chunk, manifest.cache.capacity
        self._kept: dict[str, _Array] = {}

    def score(self, request: ScoreRequest) -> npt.NDArray[np.float32]:
        self._engine.start()
        self._kept = {}
        tokens = np.asarray(request.tokens, np.int32)
        prompt, after = tokens[: request.prompt_length], tokens[request.prompt_length :]
        row = np.zeros(0, np.float32)
        for start in range(0, len(prompt), self._chunk):
            # A chunk that would reach beyond the cache starts earlier, as an app must.
            first = min(start, self._places - self._chunk)
            row = self._call("prefill", self._chunk, prompt[first : start + self._chunk], first)
        rows = [row]
        for index, token in enumerate(after):
            place = len(prompt) + index
            rows.append(self._call("decode", 1, np.asarray([token], np.int32), place))
        return np.stack(rows).astype(np.float32)

    def _call(self, function: str, length: int, tokens: _Array, place: int) -> _Array:
        """The logits after the last of some tokens: [vocabulary]."""
        ids = np.zeros((1, length), np.int32)
        ids[0, : len(tokens)] = tokens
        given = {
            _IDS: ids,
            _POSITION: np.asarray([place], np.int32),
            _LAST: np.asarray([len(tokens) - 1], np.int32),
        }
        method = self._methods[function]
        names = {one.name: one for one in method.inputs}
        inputs = {name: value for name, value in given.items() if name in names}
        for name, one in names.items():
            if name not in given:  # a cache that goes in and comes out
                inputs[name] = self._kept.get(name, np.zeros(one.shape, one.dtype))
        found = self._engine.call(function, inputs)
        self._kept = {
            name.removesuffix(_OUT): value for name, value in found.items() if name.endswith(_OUT)
        }
        rows = found[_LOGITS].reshape(-1, found[_LOGITS].shape[-1])
        chosen: _Array = rows[0] if len(rows) == 1 else rows[len(tokens) - 1]
        return chosen
