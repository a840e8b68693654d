"""The weights of a compressed module as a file keeps them: integers with scales, or halves.

The converter is given the float weights of the source, so that one converted graph does
for every recipe. Which of its constants is which weight is known by a hash of the
content; what a constant becomes is what the compressed module has in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from slmdeploy.compress.embedding import HalfEmbedding, QuantizedEmbedding
from slmdeploy.compress.recipe import LinearSpec

__all__ = ["Carried", "Digests", "carried_weights", "content_digest", "weight_digests"]

Digests = dict[str, tuple[str, str]]
"""By the name of a layer: ``linear`` or ``embedding``, and the digest of its float weight."""


@dataclass(frozen=True)
class Carried:
    """What a float constant of the file becomes.

    Attributes:
        bits: 4, 8 or 16.
        values: int8 [outputs, inputs]; ``None`` for float16, which is a plain cast.
        scales: float32 [outputs, groups], or [1, 1] for the whole weight.
        dynamic: Activations are quantized too, while running.
    """

    bits: int
    values: npt.NDArray[np.int8] | None = None
    scales: npt.NDArray[np.float32] | None = None
    dynamic: bool = False

    @property
    def block(self) -> int:
        """Weights that share a scale along the inputs; 0 for a whole row or more."""
        if self.values is None or self.scales is None or self.scales.shape[1] == 1:
            return 0
        return int(self.values.shape[1] // self.scales.shape[1])

    @property
    def one_scale(self) -> bool:
        """There is one scale for all of it."""
        return self.scales is not None and self.scales.size == 1


def content_digest(weight: npt.NDArray[np.float32]) -> str:
    """A hash of shape and content of a float32 array."""
    digest = hashlib.sha256(repr(weight.shape).encode())
    digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def weight_digests(module: nn.Module) -> Digests:
    """The weights of a module in float32, before it is compressed."""
    found: Digests = {}
    for name, part, kind in _layers(module):
        weight = part.get_parameter("weight").detach().float().contiguous().numpy()
        found[name] = kind, content_digest(weight)
    return found


def carried_weights(
    module: nn.Module, digests: Digests, schemes: dict[str, LinearSpec]
) -> dict[tuple[str, str], Carried]:
    """What each weight becomes, by its kind and digest; those that stay are left out.

    Args:
        module: Compressed; layers have the names of ``digests``.
        digests: Of the module before it was compressed.
        schemes: What was done to each linear layer, by its name.
    """
    found = {}
    for name, key in digests.items():
        carried = _carried(module.get_submodule(name), schemes.get(name))
        if carried is not None:
            found[key] = carried
    return found


def _layers(module: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    for name, part in module.named_modules(remove_duplicate=False):
        if type(part) is nn.Linear:
            yield name, part, "linear"
        elif type(part) is nn.Embedding:
            yield name, part, "embedding"


def _carried(part: nn.Module, spec: LinearSpec | None) -> Carried | None:
    if isinstance(part, HalfEmbedding):
        return Carried(bits=16)
    if isinstance(part, QuantizedEmbedding):
        values = _unpacked(part.table, part.container)
        return Carried(part.container, values, _merged(part.scales))
    if spec is None or spec.scheme == "none":
        return None
    if spec.scheme == "fp16":
        return Carried(bits=16)
    weight = part.weight
    values = weight.qdata.to(torch.int8).numpy()  # type: ignore[union-attr, operator]
    scales = weight.scale.float().reshape(values.shape[0], -1)  # type: ignore[union-attr, operator]
    return Carried(spec.bits, values, _merged(scales), dynamic=spec.scheme.startswith("8da"))


def _merged(scales: Tensor) -> npt.NDArray[np.float32]:
    """Scales, or the one that all rows have."""
    flat = scales.detach().float().numpy()
    if len(flat) > 1 and flat.shape[1] == 1 and bool((flat == flat[0, 0]).all()):
        return flat[:1].copy()
    return np.ascontiguousarray(flat)


def _unpacked(table: Tensor, container: int) -> npt.NDArray[np.int8]:
    """The integers of an embedding; see ``compress.embedding.pack``."""
    packed = table.numpy()
    if container == 8:
        return packed.astype(np.int8)
    pairs = np.stack([packed >> 4, packed & 15], axis=-1).astype(np.int8) - 8
    return pairs.reshape(len(packed), -1)
