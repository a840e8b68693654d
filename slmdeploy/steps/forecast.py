"""Whether a model would fit the targets, estimated from its headers alone. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from slmdeploy.compress.recipe import LinearSpec, Recipe
from slmdeploy.errors import SlmdeployError
from slmdeploy.export.context import choose_context
from slmdeploy.export.coreml import sizes as coreml
from slmdeploy.export.executorch.sizes import (
    RUNNER_BYTES,
    embedding_bytes,
    linear_bytes,
    packed_linear_bytes,
)
from slmdeploy.export.litert import sizes as litert
from slmdeploy.model.config import DecoderConfig
from slmdeploy.model.model import Model
from slmdeploy.steps.export_cost import available_memory, export_cost
from slmdeploy.steps.foreign_forecast import foreign_fit
from slmdeploy.steps.outcomes import TargetFit
from slmdeploy.target.fit import fits
from slmdeploy.target.load import list_targets, load_target
from slmdeploy.target.profile import TargetProfile

__all__ = ["artifact_bytes", "peak_bytes", "target_fits"]

_DEFAULT_CONTEXT = 2048
_AFTER_EXPORT = "of a model that is no decoder only its export can say it"

_Size = Callable[[DecoderConfig, Recipe], int]
_Peak = Callable[[DecoderConfig, Recipe, int], int]


def artifact_bytes(config: DecoderConfig, recipe: Recipe) -> int:
    """Estimate of a decoder's artifact, in bytes; graphs and padding left out."""
    return _weights(config, recipe, linear_bytes)


def _weights(
    config: DecoderConfig, recipe: Recipe, linear: Callable[[int, int, LinearSpec], int]
) -> int:
    hidden, size = config.hidden_size, config.head_dim
    layer = (
        linear((config.heads + 2 * config.kv_heads) * size, hidden, recipe.body)
        + linear(hidden, config.heads * size, recipe.body)
        + linear(2 * config.intermediate_size, hidden, recipe.body)
        + linear(hidden, config.intermediate_size, recipe.body)
    )
    head = linear(config.vocab_size, hidden, recipe.head_spec)
    table = embedding_bytes(config.vocab_size, hidden, recipe.embedding)
    return table + config.layers * layer + head


def peak_bytes(config: DecoderConfig, recipe: Recipe, context: int) -> int:
    """Estimate of the runner's peak resident set: its own, weights and a full cache.

    The exporter's own estimate (``account.predict_memory``) knows the memory plan too.
    """
    cache = 2 * 4 * config.layers * context * config.kv_heads * config.head_dim
    return RUNNER_BYTES + _weights(config, recipe, packed_linear_bytes) + cache


def target_fits(
    model: Model, targets_dirs: Sequence[Path], *, context: int | None = None
) -> tuple[TargetFit, ...]:
    """Each target that can be read, with the model in its own recipe.

    Args:
        model: What was read.
        targets_dirs: Where profiles are looked for first.
        context: Tokens that a run may hold; ``None`` for each target's own.

    Raises:
        ExportError: The context is beyond the model's.
    """
    known = model.config or model.foreign
    if context is not None and known is not None:
        choose_context(known, context)
    found, free = [], available_memory()
    for entry in list_targets(tuple(targets_dirs)):
        try:
            profile = load_target(entry.name, tuple(targets_dirs))
        except SlmdeployError:
            continue  # ``targets validate`` is there to say what is wrong with it
        found.append(_fit(model, profile, context, free))
    return tuple(found)


def _fit(model: Model, profile: TargetProfile, asked: int | None, free: int | None) -> TargetFit:
    config, recipe = model.config, profile.recipe
    if model.foreign is not None:
        return foreign_fit(model, model.foreign, profile, asked)
    if config is None:
        findings = tuple(fits(profile, None, None))
        reason = coreml.PEAK_NOT_KNOWN if profile.core_ml else _AFTER_EXPORT
        return TargetFit(profile.name, recipe.name, None, findings, device_peak_reason=reason)
    context = asked or min(config.context, profile.export.context or _DEFAULT_CONTEXT)
    size, rise = _estimates(profile)
    predicted = size(config, recipe)
    peak = None if rise is None else rise(config, recipe, context)
    cost = export_cost(config, recipe, profile.exporter, context)
    return TargetFit(
        profile.name,
        recipe.name,
        predicted,
        tuple(fits(profile, predicted, peak)),
        context=context,
        device_peak_bytes=peak,
        device_peak_reason=coreml.PEAK_NOT_KNOWN if rise is None else None,
        export_peak_bytes=None if cost is None else cost.peak_bytes,
        export_cpu_s=None if cost is None else round(cost.cpu_s),
        export_fits=None if cost is None or free is None else cost.peak_bytes <= free,
    )


def _estimates(profile: TargetProfile) -> tuple[_Size, _Peak | None]:
    """Of the artifact and of a run on the device, where something is known of that."""
    if profile.core_ml:
        return coreml.artifact_bytes, None
    if profile.runtime in ("litert", "tflite-runtime"):
        return litert.artifact_bytes, litert.peak_bytes
    return artifact_bytes, peak_bytes
