"""Which packages make a Core ML package."""

from __future__ import annotations

from importlib.metadata import version

__all__ = ["installed_versions"]


def installed_versions() -> dict[str, str]:
    """What makes a ``.mlpackage``."""
    return {name: version(name) for name in ("torch", "coremltools")}
