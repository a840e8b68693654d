"""A saved ``.mlpackage``: a folder with a manifest, the program and its weight file.

Neither coremltools nor torch is needed to read one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from slmdeploy.errors import ModelReadError
from slmdeploy.export.mil.blob import BlobFile
from slmdeploy.export.mil.program import BlobRef, Function, parse_function
from slmdeploy.export.mil.types import TensorType
from slmdeploy.export.mil.wire import Message

__all__ = ["TARGETS", "Package", "open_package"]

TARGETS = {"CoreML5": "iOS15", "CoreML6": "iOS16", "CoreML7": "iOS17", "CoreML8": "iOS18"}
"""Deployment targets by the set of operators that they came with."""

_MANIFEST = "Manifest.json"
_IN_PACKAGE = "@model_path"
_DESCRIPTION, _ML_PROGRAM = 2, 502


@dataclass(frozen=True)
class Package:
    """An ML Program that was saved.

    Attributes:
        path: The ``.mlpackage``.
        model_file: Its ``model.mlmodel``.
        specification_version: Core ML's version of the format: 9 is iOS 18.
        functions: By name.
        default_function: The one that runs where none is named.
        description: What Core ML shows of inputs and outputs: the message ``ModelDescription``.
    """

    path: Path
    model_file: Path
    specification_version: int
    functions: Mapping[str, Function]
    default_function: str
    description: Message = field(repr=False)
    _files: dict[str, BlobFile] = field(default_factory=dict, repr=False)

    @property
    def deployment_target(self) -> str:
        """The oldest system that takes all functions, as in ``iOS18``."""
        newest = max((function.opset for function in self.functions.values()), default="")
        return TARGETS.get(newest, newest)

    def function(self, name: str) -> Function:
        """A function by its name.

        Raises:
            ModelReadError: There is none.
        """
        if name not in self.functions:
            known = ", ".join(sorted(self.functions))
            raise ModelReadError(f"{self.path.name} has no function {name!r}; it has {known}.")
        return self.functions[name]

    def read(self, place: BlobRef, tensor: TensorType) -> npt.NDArray[Any]:
        """A constant from the weight file; it is mapped, not copied, where the type allows.

        Raises:
            ModelReadError: The file is missing or damaged, or has something else there.
        """
        if place.file not in self._files:
            self._files[place.file] = BlobFile(self._weight_path(place.file))
        return self._files[place.file].read(place.offset, tensor)

    def _weight_path(self, name: str) -> Path:
        folder = self.model_file.parent.resolve()
        path = folder / name.replace(_IN_PACKAGE, str(folder), 1).replace("\0", "")
        if not path.resolve().is_relative_to(folder):
            raise ModelReadError(f"The program looks for weights outside its package: {name!r}.")
        return path


def open_package(path: Path) -> Package:
    """Read a package's program; weights are mapped when they are asked for.

    Args:
        path: The ``.mlpackage``.

    Raises:
        ModelReadError: It is no package, damaged, or no ML Program.
    """
    model_file = _model_file(path)
    try:
        model = Message(memoryview(model_file.read_bytes()))
        return _package(path, model_file, model)
    except OSError as error:
        raise ModelReadError(f"{model_file} cannot be read: {error}") from None
    except RecursionError:
        raise ModelReadError(f"{model_file} is damaged: it is nested without end.") from None
    except ModelReadError as error:
        raise ModelReadError(f"{model_file} is damaged: {error.message}") from None


def _package(path: Path, model_file: Path, model: Message) -> Package:
    if not model.has(_ML_PROGRAM):
        raise ModelReadError("it holds no ML Program (an older kind of Core ML model?).")
    program, description = model.message(_ML_PROGRAM), model.message(_DESCRIPTION)
    functions = {name: parse_function(name, body) for name, body in program.entries(2)}
    if not functions:
        raise ModelReadError("its program has no function.")
    default = description.text(21) or ("main" if "main" in functions else min(functions))
    return Package(path, model_file, model.integer(1), functions, default, description)


def _model_file(path: Path) -> Path:
    """Where a package's manifest says that its model is."""
    manifest = path / _MANIFEST
    hint = "A Core ML package is a folder NAME.mlpackage with a Manifest.json in it."
    try:
        said = json.loads(manifest.read_text())
        entry = said["itemInfoEntries"][said["rootModelIdentifier"]]["path"]
        inside = (path / "Data").resolve()
        found = (inside / str(entry)).resolve()
    except OSError:
        raise ModelReadError(f"{path} is no Core ML package.", hint=hint) from None
    except (ValueError, KeyError, TypeError):
        raise ModelReadError(f"{manifest} does not name a model.", hint=hint) from None
    if not found.is_relative_to(inside) or not found.is_file():
        raise ModelReadError(f"{manifest} names a model that is not there: {entry}.", hint=hint)
    return found
