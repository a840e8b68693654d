"""Hand the compression on to the converter, layer by layer."""

from __future__ import annotations

from torch import nn

from slmdeploy.compress.generic import CompressedModule
from slmdeploy.compress.quantize import Compressed
from slmdeploy.export.coreml.carry import carry

__all__ = ["carried"]


def carried(plain: nn.Module, compressed: Compressed | CompressedModule) -> None:
    """Say of each compressed weight how it shall lie in the package."""
    carry(plain, compressed)
