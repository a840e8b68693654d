"""What a runtime hands to its delegates, where that is decided while it loads a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slmdeploy.bundle.folder import Bundle
from slmdeploy.bundle.manifest import DelegationInfo
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.errors import SlmdeployError
from slmdeploy.progress import Progress, Step
from slmdeploy.steps.ready import ready

__all__ = ["decided_late", "measured_delegation", "unmeasured"]


def decided_late(bundle: Bundle) -> bool:
    """Whether the exporter could not know what delegates take of the artifact."""
    methods = bundle.manifest.artifact.methods.values()
    return any(method.delegated_ops is None for method in methods)


def unmeasured(bundle: Bundle, reason: str) -> DelegationInfo | None:
    """For the manifest of an artifact that did not run here; ``None`` as below."""
    return DelegationInfo(reason=reason) if decided_late(bundle) else None


def measured_delegation(bundle: Bundle, progress: Progress) -> DelegationInfo | None:
    """Load the artifact on this computer, and ask its runtime what delegates took.

    Returns:
        ``None`` where the exporter knows it: the manifest has it with each method.
    """
    if not decided_late(bundle):
        return None
    if bundle.manifest.artifact.core_ml:
        return DelegationInfo(reason="no runtime of this computer loads it")
    progress(Step("ask for the delegates"))
    try:
        with ready(bundle, LOCAL, progress) as on:
            events = {event.kind: event.data for event in on.runner.describe()}
    except SlmdeployError as error:
        return DelegationInfo(reason=f"it did not load on this computer: {error.message}")
    finally:
        progress(Step("ask for the delegates", finished=True))
    if "delegation" not in events:
        return DelegationInfo(reason="the runtime did not say it")
    return _info(events["start"], events["delegation"])


def _info(start: Mapping[str, Any], said: Mapping[str, Any]) -> DelegationInfo:
    return DelegationInfo(
        method=said["method"],
        delegate=said["delegate"],
        delegates=said["delegates"],
        delegated_ops=said["delegated_ops"],
        total_ops=said["total_ops"],
        arch=start["arch"],
        runtime_version=start["runtime_version"],
    )
