"""What torch and ExecuTorch say of a module that they cannot take, in a sentence."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator

from slmdeploy.errors import ExportError

__all__ = ["explain", "first_line", "translated"]

_BRANCH = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in \S+\n\s*(?P<code>.+)')
_FIXES = "Suggested fixes:"
_MISSING = re.compile(r"Missing out variants: \{(?P<names>[^}]*)\}")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever a library raises into one error, and keep its notes to itself.

    Args:
        doing: What is being done, as in ``"trace the model"``.

    Raises:
        ExportError: Something was raised inside.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        # torch prints the graph as far as it came to stderr.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except ExportError:
        raise
    # These libraries raise errors of many kinds, and whatever the model's own code raises.
    except Exception as error:
        raise explain(error, doing) from error
    finally:
        logging.disable(before)


def explain(error: Exception, doing: str) -> ExportError:
    """Say what an exception of torch or ExecuTorch means.

    Args:
        error: What was raised.
        doing: What was being done, as in ``"trace the model"``.
    """
    text = str(error)
    if "data-dependent" in text:
        return _depends_on_values(text)
    if _FIXES in text or "Constraints violated" in text:
        return _not_all_sizes(text)
    missing = _MISSING.search(text)
    if missing:
        names = ", ".join(sorted(re.findall(r"[\w.]+::[\w.]+", missing["names"])))
        return ExportError(
            f"ExecuTorch has no form of {names} that writes to given memory.",
            hint="Replace it in the model, or choose a recipe that does not need it.",
        )
    return ExportError(f"ExecuTorch cannot {doing}: {first_line(error)}")


def _depends_on_values(text: str) -> ExportError:
    """An exported graph has one way through; a Python ``if`` on a tensor needs two."""
    places = list(_BRANCH.finditer(text))
    where = ""
    if places:
        place = places[-1]
        where = f" at `{place['code'].strip()}` ({place['file']}, line {place['line']})"
    return ExportError(
        f"The model's way through its code depends on the values of its inputs{where}; "
        "an exported graph has one way only.",
        hint="Use torch.where for values, or torch.cond for branches.",
    )


def _not_all_sizes(text: str) -> ExportError:
    """The code takes fewer sizes than the dynamic shapes say; torch knows which."""
    told, _, fixes = text.partition(_FIXES)
    reasons = [line.strip().removeprefix("- ") for line in told.splitlines() if line.strip()]
    others = (line for line in reasons if not line.startswith("Constraints violated"))
    why = next(others, reasons[0]).rstrip(".")
    # What follows an empty line is about torch.export in general.
    fixes = fixes.strip().partition("\n\n")[0]
    suggested = "; ".join(line.strip() for line in fixes.splitlines())
    return ExportError(
        f"The model does not take all sizes of its dynamic shapes: {why}.",
        hint=f"torch suggests: {suggested}" if suggested else "Give the Dim another min or max.",
    )


def first_line(error: Exception) -> str:
    """The class of an exception and the first line of what it says, with a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0].removeprefix("Failed with error: ") if lines else "it gave no reason"
    return f"{type(error).__name__}: {said.rstrip('.')}."
