"""Says what a model is, and which targets it would fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slmdeploy.model.audit import audit_values
from slmdeploy.model.inspect import describe
from slmdeploy.model.read import read_model
from slmdeploy.model.request import ModelRequest, request_of
from slmdeploy.progress import Progress
from slmdeploy.steps.forecast import target_fits
from slmdeploy.steps.outcomes import Inspection

__all__ = ["inspect_model"]


def inspect_model(
    model: str | ModelRequest,
    *,
    fetch: bool,
    context: int | None,
    values: bool,
    targets_dirs: Sequence[Path],
    progress: Progress,
) -> Inspection:
    """Read a model's headers, and its values where that is asked for.

    Args:
        model: As ``parse_ref`` takes it, or a request.
        fetch: Download it where it is not on this computer yet.
        context: Tokens of a run, for the forecast of memory; ``None`` for each target's own.
        values: Also read every value of the weights.
        targets_dirs: Folders of target profiles that are looked at first.
        progress: Is told of a download.

    Raises:
        ModelReadError: A value is NaN or infinite, or the model cannot be read.
    """
    found = read_model(request_of(model).ref(), fetch=fetch, progress=progress)
    if values:
        report = audit_values(found.weights, whole=True)
        found = replace(found, remarks=found.remarks + report.remarks(found.weights))
    return Inspection(describe(found), target_fits(found, targets_dirs, context=context))
