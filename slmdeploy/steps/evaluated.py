"""Rungs of artifacts that no runtime of this computer takes: Core ML's, which are evaluated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.bundle.folder import Bundle
from slmdeploy.export.mil.evaluate import Watch
from slmdeploy.export.mil.rounding import Mode
from slmdeploy.runtime.coreml import CoremlRunner, Engine, EvaluatorEngine, PredictEngine
from slmdeploy.runtime.delegated import DelegateEngine
from slmdeploy.runtime.protocol import Runner
from slmdeploy.verify.thresholds import RungKind

__all__ = ["Evaluated", "evaluated", "evaluator"]


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
        bundle: With an artifact that Core ML runs, by itself or as ExecuTorch's delegate.
        on_mac: Whether Core ML is here; by default whether this is macOS.
    """
    mac = sys.platform == "darwin" if on_mac is None else on_mac

    def half() -> Engine:
        return _engine(bundle, PredictEngine) if mac else evaluator(bundle, "fp16")

    return (
        Evaluated("float32", lambda: CoremlRunner(evaluator(bundle, "fp32"), bundle.manifest)),
        Evaluated("float16", lambda: CoremlRunner(half(), bundle.manifest)),
    )


def evaluator(bundle: Bundle, mode: Mode, *, watch: Watch | None = None) -> Engine:
    """Our evaluator of a bundle's package, which may lie in a ``.pte``.

    Args:
        bundle: As above.
        mode: ``fp32`` or ``fp16``.
        watch: Is told of each result.

    Raises:
        ModelReadError: The artifact is damaged.
    """
    return _engine(bundle, lambda package: EvaluatorEngine(package, mode, watch=watch))


def _engine(bundle: Bundle, make: Callable[[Path], Engine]) -> Engine:
    artifact = bundle.manifest.artifact
    if artifact.runtime == "coreml":
        return make(bundle.artifact_path)
    return DelegateEngine(bundle.artifact_path, artifact.methods, make)
