"""Turn torch modules into the signatures of one ``.tflite``, quietly."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from litert_torch._convert.interface import Converter
from torch import Tensor, nn

from slmdeploy.errors import ExportError
from slmdeploy.export.litert.quiet import quiet

__all__ = ["convert", "translated"]

_UNKNOWN = re.compile(
    r"(?:Lowering not found|failed to legalize operation|No lowering|not supported)\W*"
    r"(?P<name>[\w.:]+)",
)
_SHAPES = ("ConcretizationTypeError", "Abstract tracer value", "unbacked symbol")
_DEPENDS = ("data-dependent", "GuardOnDataDependent", "Could not guard")


def convert(
    signatures: Mapping[str, tuple[nn.Module, Mapping[str, Tensor]]], destination: Path
) -> None:
    """Convert modules; what signatures share of weights is in the file once.

    Args:
        signatures: By name a module and example inputs by name; shapes and dtypes become
            the signature's. Modules give a dictionary of tensors.
        destination: The ``.tflite`` to write.

    Raises:
        ExportError: A module cannot be traced, or has an operator that cannot be lowered.
    """
    converter = Converter()
    with torch.no_grad(), translated("convert the model"), quiet():
        for name, (module, inputs) in signatures.items():
            converter.signature(name, module.eval(), sample_kwargs=dict(inputs))
        converter.convert().export(str(destination))


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever a library raises into one error.

    Raises:
        ExportError: Something was raised inside.
    """
    try:
        yield
    except (ExportError, MemoryError):
        raise
    # The converter raises errors of many kinds, and whatever the model's own code raises.
    except Exception as error:
        raise _explained(error, doing) from error


def _explained(error: Exception, doing: str) -> ExportError:
    text = str(error)
    if any(sign in text for sign in _DEPENDS):
        return ExportError(
            "The model's way through its code depends on the values of its inputs; an "
            "exported graph has one way only.",
            hint="Use torch.where for values.",
        )
    if any(sign in f"{type(error).__name__} {text}" for sign in _SHAPES):
        return ExportError(
            "The shape of something in the model depends on the values of its inputs; LiteRT's "
            "graphs have fixed shapes.",
            hint="Give an output of one size, filled up, and a count beside it.",
        )
    unknown = _UNKNOWN.search(text)
    if unknown:
        return ExportError(
            f"LiteRT has no operator for {unknown['name']}.",
            hint="Replace it in the model by other operators.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[0].rstrip(".") if lines else "it gave no reason"
    return ExportError(f"LiteRT cannot {doing}: {type(error).__name__}: {said}.")
