"""Small programs, written by coremltools and read by us."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slmdeploy.export.coreml.shim import coremltools
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import Package, open_package

Case = tuple[Callable[..., Any], Callable[..., Any]]
"""An operator as coremltools writes it, and the same in torch; both take the inputs by name."""


def saved(
    build: Callable[..., Any],
    inputs: Mapping[str, np.ndarray],
    folder: Path,
    *,
    target: str = "iOS18",
    precision: str = "FLOAT32",
) -> Package:
    """A program of one function, written as it is: no pass of the converter changes it."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    kinds = {"f": types.fp32, "i": types.int32, "b": types.bool}
    specs = [
        Builder.TensorSpec(shape=value.shape, dtype=kinds[value.dtype.kind])
        for value in inputs.values()
    ]
    at_least = getattr(coremltools.target, target)
    names = ", ".join(inputs)
    function = eval(f"lambda {names}: build({names})", {"build": build})  # noqa: S307
    path = folder / "model.mlpackage"
    with quiet():
        program = Builder.program(input_specs=specs, opset_version=at_least)(function)
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=at_least,
            compute_precision=getattr(coremltools.precision, precision),
            pass_pipeline=coremltools.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        model.save(str(path))
        del model  # and with it, by the collector, a temporary folder that it warns of
        gc.collect()
    return open_package(path)


def both(
    cases: Mapping[str, Case], inputs: Mapping[str, np.ndarray], folder: Path
) -> dict[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    """What each case gives by the evaluator and in torch; all are in one program."""
    counts: dict[str, int] = {}

    def build(*values: Any) -> tuple[Any, ...]:
        made = []
        for name, (write, _) in cases.items():
            parts = write(*values)
            parts = list(parts) if isinstance(parts, (tuple, list)) else [parts]
            counts[name] = len(parts)
            made += [_output(part) for part in parts]
        return tuple(made)

    package = saved(build, inputs, folder)
    found = list(Evaluator(package).run("main", inputs).values())
    tensors = [torch.from_numpy(value) for value in inputs.values()]
    results: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for name, (_, compute) in cases.items():
        mine, found = found[: counts[name]], found[counts[name] :]
        theirs = compute(*tensors)
        theirs = list(theirs) if isinstance(theirs, (tuple, list)) else [theirs]
        results[name] = (mine, [np.asarray(one) for one in theirs])
    return results


def _output(value: Any) -> Any:
    """A program may give no truth values: they become numbers."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    return Builder.cast(x=value, dtype="fp32") if value.dtype == types.bool else value


def assert_same(pair: tuple[list[np.ndarray], list[np.ndarray]], tolerance: float = 2e-6) -> None:
    """Equal shapes and counts; floats to a few units in the last place."""
    mine, theirs = pair
    assert len(mine) == len(theirs) > 0
    for one, other in zip(mine, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(
            one.astype(np.float64), other.astype(np.float64), rtol=tolerance, atol=tolerance
        )
