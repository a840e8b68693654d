"""The README of a bundle that only an app can run: how it calls what is in it."""

from __future__ import annotations

from slmdeploy.bundle.delegate_readme import delegate_readme
from slmdeploy.bundle.manifest import Manifest
from slmdeploy.bundle.swift_readme import README_NAME, swift_readme
from slmdeploy.export.options import CoremlOptions, ExecutorchOptions, ExportOptions

__all__ = ["README_NAME", "app_readme"]


def app_readme(manifest: Manifest, options: ExportOptions) -> str | None:
    """The text; ``None`` where a runner of ours takes the artifact.

    Args:
        manifest: Of the bundle.
        options: What its artifact was made with.
    """
    if isinstance(options, CoremlOptions):
        return swift_readme(manifest, options)
    if isinstance(options, ExecutorchOptions) and options.core_ml:
        return delegate_readme(manifest, options)
    return None
