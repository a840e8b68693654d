"""What ``inspect`` foretells of a model for a target, to hold a bundle against it."""

from __future__ import annotations

from pathlib import Path

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.pipeline import TargetFit
from slmdeploy.steps.forecast import target_fits

__all__ = ["foretold", "same_reason"]


def foretold(model: Path, manifest: Manifest) -> TargetFit:
    """The forecast for the bundle's target and context."""
    fits = target_fits(read_model(parse_ref(str(model))), (), context=manifest.context)
    return next(fit for fit in fits if fit.target == manifest.target)


def same_reason(model: Path, manifest: Manifest) -> bool:
    """Neither names a peak on the device, and both give the same reason."""
    fit, memory = foretold(model, manifest), manifest.memory
    assert memory.predicted_peak is fit.device_peak_bytes is None
    return memory.reason == fit.device_peak_reason is not None
