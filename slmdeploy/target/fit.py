"""Would an artifact fit a target: known limits against known sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slmdeploy.target.profile import TargetProfile
from slmdeploy.target.units import format_bytes

__all__ = ["TIGHT_SHARE", "FitFinding", "fits"]

TIGHT_SHARE = 0.8
"""Above this share of a limit a fit is called tight: the system needs room too."""


@dataclass(frozen=True)
class FitFinding:
    """One comparison.

    Attributes:
        check: ``memory`` or ``disk``.
        status: ``ok``; ``warn`` above ``TIGHT_SHARE`` of the limit; ``fail`` above the
            limit; ``unknown`` where either number is not known.
        needed_bytes: What the artifact needs.
        limit_bytes: What the target has.
        message: The comparison in words.
    """

    check: Literal["memory", "disk"]
    status: Literal["ok", "warn", "fail", "unknown"]
    needed_bytes: int | None
    limit_bytes: int | None
    message: str


def fits(
    profile: TargetProfile, artifact_bytes: int | None, peak_bytes: int | None
) -> list[FitFinding]:
    """Compare an artifact with a target's limits.

    Args:
        profile: The target.
        artifact_bytes: Size of the bundle on the device.
        peak_bytes: Predicted peak of the runner's resident set.
    """
    limits = profile.limits
    return [
        _compare("memory", peak_bytes, limits.ram_bytes),
        _compare("disk", artifact_bytes, limits.disk_bytes),
    ]


def _compare(check: Literal["memory", "disk"], needed: int | None, limit: int | None) -> FitFinding:
    if limit is None:
        return FitFinding(check, "unknown", needed, None, f"the target sets no limit of {check}")
    if needed is None:
        return FitFinding(check, "unknown", None, limit, f"the {check} needed is not known")
    words = f"{format_bytes(needed)} of {format_bytes(limit)}"
    if needed > limit:
        return FitFinding(check, "fail", needed, limit, f"needs {words}")
    if needed > TIGHT_SHARE * limit:
        return FitFinding(check, "warn", needed, limit, f"tight: {words}")
    return FitFinding(check, "ok", needed, limit, words)
