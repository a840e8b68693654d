"""What can be said of a decoder by ``transformers``' own code, from its headers. No torch.

There is no configuration of ours to count from, so its tensors are: matrices as linear layers,
tables as tables, the rest in float32.
"""

from __future__ import annotations

import math

from slmdeploy.compress.recipe import Recipe
from slmdeploy.export.executorch.sizes import embedding_bytes, linear_bytes
from slmdeploy.model.foreign import ForeignConfig
from slmdeploy.model.inspect import component_of
from slmdeploy.model.model import Model
from slmdeploy.steps.outcomes import TargetFit
from slmdeploy.target.fit import fits
from slmdeploy.target.profile import TargetProfile

__all__ = ["foreign_bytes", "foreign_fit"]

_TAKES = "executorch"
_CONTEXT = 2048
_NOT_TAKEN = "transformers' own code is exported for ExecuTorch on a CPU alone"
_NOT_KNOWN = "how large its cache is, only transformers' own code says"


def foreign_bytes(model: Model, recipe: Recipe) -> int:
    """Estimate of an artifact, in bytes; graphs and padding left out."""
    sizes = [_tensor_bytes(model, name, recipe) for name in model.weights.names()]
    if any(component_of(name) == "head" for name in model.weights.names()):
        return sum(sizes)
    tables = [name for name in model.weights.names() if component_of(name) == "embedding"]
    rows, columns = max((model.weights.shape(name) for name in tables), key=math.prod)
    return sum(sizes) + linear_bytes(rows, columns, recipe.head_spec)


def _tensor_bytes(model: Model, name: str, recipe: Recipe) -> int:
    shape, part = model.weights.shape(name), component_of(name)
    if len(shape) != 2:
        return 4 * math.prod(shape)
    if part == "embedding":
        return embedding_bytes(*shape, recipe.embedding)
    return linear_bytes(*shape, recipe.head_spec if part == "head" else recipe.body)


def foreign_fit(
    model: Model, config: ForeignConfig, profile: TargetProfile, asked: int | None
) -> TargetFit:
    """Whether it would fit a target; what cannot be said is ``None`` with the reason."""
    if profile.exporter != _TAKES:
        findings = tuple(fits(profile, None, None))
        return TargetFit(
            profile.name, profile.recipe.name, None, findings, device_peak_reason=_NOT_TAKEN
        )
    predicted = foreign_bytes(model, profile.recipe)
    return TargetFit(
        profile.name,
        profile.recipe.name,
        predicted,
        tuple(fits(profile, predicted, None)),
        context=asked or min(config.context, profile.export.context or _CONTEXT),
        device_peak_reason=_NOT_KNOWN,
    )
