"""What a saved package holds of a weight, as it lies in its file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.export.mil.package import Package
from slmdeploy.export.mil.program import BlobRef, Constant, Function, Operation

Array = npt.NDArray[Any]
Held = dict[str, Array]
"""By parameter of the operators ``constexpr_*`` that make a weight: data, scale, lut, ..."""


def held_weights(package: Package, function: str = "main") -> list[Held]:
    """Of each linear layer, in their order, then of each table that is looked up in.

    A linear layer is the operator ``linear`` or, of an exported module, ``matmul``.
    """
    body = package.functions[function]
    names = [one.inputs["weight" if one.kind == "linear" else "y"][0] for one in _layers(body)]
    names += [one.inputs["x"][0] for one in body.operations if one.kind == "gather"]
    return [dict(_held(package, body, name)) for name in names]


def _layers(body: Function) -> Iterator[Operation]:
    for one in body.operations:
        given = one.inputs["y"][0] if one.kind == "matmul" else None
        made = _maker(body, given) if isinstance(given, str) else None
        if one.kind == "linear" or (made is not None and made.is_constant):
            yield one


def _held(package: Package, body: Function, given: str | Constant) -> Iterator[tuple[str, Array]]:
    if isinstance(given, Constant):
        yield "value", _read(package, given)
        return
    made = _maker(body, given)
    if made is None:
        return
    if made.kind == "const":
        yield "value", _read(package, made.attributes["val"])
        return
    constants = [(name, value) for name, value in made.attributes.items() if name != "name"]
    for name, value in constants:
        yield name, _read(package, value)
    for name, bound in made.inputs.items():
        for key, value in _held(package, body, bound[0]):
            yield (name if key == "value" else key), value


def _maker(body: Function, name: str) -> Operation | None:
    makers = (one for one in body.operations for output, _ in one.outputs if output == name)
    return next(makers, None)


def _read(package: Package, constant: Constant) -> Array:
    value: Any = constant.value
    if isinstance(value, BlobRef):
        value = package.read(value, constant.type)
    return np.asarray(value)
