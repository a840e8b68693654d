"""Turn torch modules into the signatures of one ``.tflite``, quietly."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from litert_torch._convert.interface import Converter
from torch import Tensor, nn

from slmdeploy.errors import ExportError

__all__ = ["LOGGER", "convert", "quiet", "translated"]

LOGGER = logging.getLogger("slmdeploy.litert")
"""Gets what the converter says, at level DEBUG; ``--verbose`` shows it."""

_UNKNOWN = re.compile(
    r"(?:Lowering not found|failed to legalize operation|No lowering|not supported)\W*"
    r"(?P<name>[\w.:]+)",
)
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
    unknown = _UNKNOWN.search(text)
    if unknown:
        return ExportError(
            f"LiteRT has no operator for {unknown['name']}.",
            hint="Replace it in the model by other operators.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[0].rstrip(".") if lines else "it gave no reason"
    return ExportError(f"LiteRT cannot {doing}: {type(error).__name__}: {said}.")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the converter writes, natively too, off the terminal; it goes to the log."""
    before = logging.root.manager.disable
    with tempfile.TemporaryFile() as kept, warnings.catch_warnings(), _redirected(kept.fileno()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
            kept.seek(0)
            for line in kept.read().decode("utf-8", "replace").splitlines():
                LOGGER.debug("%s", line)


@contextlib.contextmanager
def _redirected(file: int) -> Iterator[None]:
    """Lead standard output and error of this process, not of Python alone, to a file."""
    saved = {number: os.dup(number) for number in (1, 2)}
    for number in saved:
        os.dup2(file, number)
    # Python's own streams may be others than the process's: pytest's, or a notebook's.
    nowhere = open(os.dup(file), "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a descriptor
    try:
        with nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        for number, copy in saved.items():
            os.dup2(copy, number)
            os.close(copy)
