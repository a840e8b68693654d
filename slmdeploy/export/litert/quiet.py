"""Keep what the converter and its libraries say off the terminal, and in the log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

__all__ = ["LOGGER", "quiet"]

LOGGER = logging.getLogger("slmdeploy.litert")
"""Gets what they say, at level DEBUG; ``--verbose`` shows it."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the converter writes, natively too, off the terminal; it goes to the log."""
    loud = LOGGER.isEnabledFor(logging.DEBUG)
    with tempfile.TemporaryFile() as kept:
        try:
            with _redirected(kept.fileno()), _silenced(loud=loud):
                yield
        finally:
            # Only now: while they are redirected, a handler's stream leads to the file too.
            kept.seek(0)
            for line in kept.read().decode("utf-8", "replace").splitlines():
                LOGGER.debug("%s", line)


@contextlib.contextmanager
def _silenced(*, loud: bool) -> Iterator[None]:
    """No warnings and no log messages, unless somebody wants them."""
    root = logging.root
    before, handlers = root.manager.disable, root.handlers[:]
    with warnings.catch_warnings():
        warnings.simplefilter("default" if loud else "ignore")
        if loud:
            # A library may have given the root a handler that writes to where it wants.
            root.handlers[:] = [logging.StreamHandler(sys.stderr)]
        else:
            logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
            root.handlers[:] = handlers


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
