"""Rungs of artifacts that no runtime of this computer takes: Core ML's, which are evaluated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from slmdeploy.bundle.folder import Bundle
from slmdeploy.runtime.coreml import CoremlRunner, Engine, EvaluatorEngine, PredictEngine
from slmdeploy.runtime.protocol import Runner
from slmdeploy.verify.thresholds import RungKind

__all__ = ["EVALUATED_RUNTIMES", "Evaluated", "evaluated"]

EVALUATED_RUNTIMES = frozenset({"coreml"})
"""Runtimes whose artifacts our evaluator reads; the host has no runner for them."""


@dataclass(frozen=True)
class Evaluated:
    """A way to run an artifact here.

    Attributes:
        kind: Of the rung, and its name.
        runner: Makes what drives it.
    """

    kind: RungKind
    runner: Callable[[], Runner]


def evaluated(bundle: Bundle, *, on_mac: bool | None = None) -> tuple[Evaluated, ...]:
    """How a bundle's artifact is run for its rungs.

    In float32 by our evaluator, which shows errors of the conversion; then in float16: on a
    Mac by Core ML itself, elsewhere by the evaluator with each result rounded.

    Args:
        bundle: With an artifact of one of ``EVALUATED_RUNTIMES``.
        on_mac: Whether Core ML is here; by default whether this is macOS.
    """
    artifact, manifest = bundle.artifact_path, bundle.manifest
    mac = sys.platform == "darwin" if on_mac is None else on_mac

    def half() -> Engine:
        return PredictEngine(artifact) if mac else EvaluatorEngine(artifact, "fp16")

    return (
        Evaluated("float32", lambda: CoremlRunner(EvaluatorEngine(artifact, "fp32"), manifest)),
        Evaluated("float16", lambda: CoremlRunner(half(), manifest)),
    )
