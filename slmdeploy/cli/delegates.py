"""What delegates take of a method, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slmdeploy.bundle.manifest import DelegationInfo, Manifest, MethodInfo

__all__ = ["delegates_text", "share_text"]


def delegates_text(manifest: Manifest) -> str | None:
    """One line: of all methods where the export decides it, else of the one that was asked."""
    measured = manifest.delegation
    if measured is not None and measured.method is None:
        return f"not known: {measured.reason}"
    methods = manifest.artifact.methods.items()
    known = [
        f"{name}: {share_text(method, name, measured)}"
        for name, method in methods
        if method.delegated_ops is not None or (measured is not None and measured.method == name)
    ]
    return "; ".join(known) or None


def share_text(method: MethodInfo, name: str, measured: DelegationInfo | None) -> str:
    """How many of a method's operators run in delegates, and who knows.

    Args:
        method: As in the manifest.
        name: Of the method.
        measured: What the runtime said on the computer that made the bundle.
    """
    if method.delegated_ops is not None:
        return f"{method.delegated_ops} of {method.total_ops} operators in delegates"
    if measured is not None and measured.method == name:
        taker = measured.delegate or "a delegate"
        return (
            f"{measured.delegated_ops} of {measured.total_ops} operators in {taker}, as version "
            f"{measured.runtime_version} of the runtime said on {measured.arch}"
        )
    return f"{method.total_ops} operators; the runtime chooses on the device what it delegates"
