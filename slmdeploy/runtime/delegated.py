"""Runs a ``.pte`` of ExecuTorch's Core ML delegate by running the package within.

The arguments of a method go to the package as ExecuTorch hands them over: by their position.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from slmdeploy.errors import EvaluationError
from slmdeploy.export.artifact import MethodInfo
from slmdeploy.export.executorch.delegated import Call, read_delegated
from slmdeploy.runtime.coreml import Engine

__all__ = ["DelegateEngine"]

_Arrays = Mapping[str, npt.NDArray[Any]]


class DelegateEngine:
    """See ``runtime.coreml.Engine``; functions are the methods of the file.

    Args:
        artifact: The ``.pte``; it is unpacked into a folder that goes with the engine.
        methods: What the manifest says of them: the file has no names of inputs and outputs.
        engine: Makes what runs the package.

    Raises:
        ModelReadError: The file is damaged, or its methods are no calls of this delegate.
    """

    def __init__(
        self,
        artifact: Path,
        methods: Mapping[str, MethodInfo],
        engine: Callable[[Path], Engine],
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="slmdeploy-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._methods = methods
        self._delegated = read_delegated(artifact, folder)
        self.package = self._delegated.package
        self._engine = engine(self.package)

    def start(self) -> None:
        """Begin with empty states."""
        self._engine.start()

    def call(self, function: str, inputs: _Arrays) -> _Arrays:
        """Run a method.

        Raises:
            EvaluationError: The file has no such method, or another number of arguments.
        """
        method, call = self._methods[function], self._call(function)
        names = [one.name for one in method.inputs], [one.name for one in method.outputs]
        if (len(names[0]), len(names[1])) != (len(call.inputs), len(call.outputs)):
            raise EvaluationError(
                f"Method {function!r} has {len(call.inputs)} inputs and {len(call.outputs)} "
                "outputs in the file, others in the manifest."
            )
        given = {inner: inputs[name] for name, inner in zip(names[0], call.inputs, strict=True)}
        found = self._engine.call(call.function, given)
        return {name: found[inner] for name, inner in zip(names[1], call.outputs, strict=True)}

    def _call(self, method: str) -> Call:
        known = self._delegated.calls
        if method not in known:
            raise EvaluationError(
                f"The file has no method {method!r}; it has {', '.join(sorted(known))}."
            )
        return known[method]
