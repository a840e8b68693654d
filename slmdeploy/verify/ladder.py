"""The parity ladder: each rung is compared with the last present one before it.

A rung is a function that gives logits; how it does that, this room does not know.
The climb stops at the first rung that breaks: what comes after it would only repeat
the fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.verify.comparators.base import as_rows
from slmdeploy.verify.comparators.registry import compare_all, get_comparator
from slmdeploy.verify.degenerate import degenerate, non_finite
from slmdeploy.verify.thresholds import Limits, Precision, RungKind, limits_for

__all__ = ["NOT_REACHED", "ModelKind", "Rung", "climb"]

NOT_REACHED = "not reached"

ModelKind = Literal["decoder", "generic"]
_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rung:
    """One rung.

    Attributes:
        name: As in tables and messages.
        kind: Which limits apply (``verify/thresholds.py``).
        run: Gives the output over the golden inputs: [T + 1, V] for a decoder,
            [..., C] for any other model; ``None`` where there is no way to run it.
        reason: Why ``run`` is ``None``.
        text: Gives ids that the rung wrote freely, for the degenerate-text check;
            without it the choices over the golden ids are checked.
        same_bits: It promises the bits of the artifact on the host (``limits_for``).
    """

    name: str
    kind: RungKind
    run: Callable[[], _Array] | None
    reason: str | None = None
    text: Callable[[], Sequence[int]] | None = None
    same_bits: bool = False


@dataclass(frozen=True)
class _Reached:
    """The last present rung: its output, and what was wrong with its text."""

    rung: Rung
    output: _Array
    fault: str | None


def climb(
    rungs: Sequence[Rung],
    *,
    precision: Precision,
    model: ModelKind = "decoder",
    choices: bool = True,
    on_result: Callable[[RungResult, _Array | None], None] | None = None,
) -> tuple[RungResult, ...]:
    """Climb the rungs in order, up to the first that breaks.

    Args:
        rungs: From the source to the device; those that cannot be run included.
        precision: ``Recipe.precision``: the row of the table of limits.
        model: ``generic`` leaves out the degenerate-text check.
        choices: The last dimension holds scores of which the largest one is chosen; else
            ``top1_agreement`` is not judged.
        on_result: Called after each rung with its result and, where it was run, its
            output: for progress, and to keep the logits.

    Returns:
        One result per rung, in order. The first present rung has nothing to be held
        against and is ``report``; rungs after the one that broke are ``absent``.

    Raises:
        SlmdeployError: What ``run`` of a rung raised.
    """
    results: list[RungResult] = []
    below: _Reached | None = None
    for rung in rungs:
        if any(result.status == "fail" for result in results):
            result, reached = _absent(rung, NOT_REACHED), None
        else:
            result, reached = _step(rung, below, precision, model, choices=choices)
        results.append(result)
        below = reached or below
        if on_result is not None:
            on_result(result, reached.output if reached else None)
    return tuple(results)


def _step(
    rung: Rung,
    below: _Reached | None,
    precision: Precision,
    model: ModelKind,
    *,
    choices: bool,
) -> tuple[RungResult, _Reached | None]:
    if rung.run is None:
        return _absent(rung, rung.reason or "its source is gone"), None
    output = rung.run()
    reached = _Reached(rung, output, _text_fault(rung, output, model))
    if below is None:
        return _first(rung, output), reached
    limits = dict(limits_for(rung.kind, below.rung.kind, precision, same_bits=rung.same_bits))
    if not choices:
        limits.pop("top1_agreement", None)
    return _judge(reached, below, limits), reached


def _absent(rung: Rung, reason: str) -> RungResult:
    return RungResult(name=rung.name, against=None, status="absent", reason=reason)


def _first(rung: Rung, output: _Array) -> RungResult:
    fault = _unusable(output)
    return RungResult(
        name=rung.name,
        against=None,
        status="report" if fault is None else "fail",
        reason=fault or "the first rung: nothing to compare with",
    )


def _unusable(output: _Array) -> str | None:
    """Why nothing can be compared with this output."""
    if output.size == 0:
        return "the output is empty"
    fault = non_finite(output)
    return None if fault is None else f"the output is not finite: {fault}"


def _text_fault(rung: Rung, output: _Array, model: ModelKind) -> str | None:
    """What is wrong with the text of a decoder."""
    if model == "generic" or _unusable(output):
        return None
    ids = as_rows(output).argmax(axis=-1).tolist() if rung.text is None else rung.text()
    return degenerate(ids)


def _judge(reached: _Reached, below: _Reached, limits: Limits) -> RungResult:
    name, against = reached.rung.name, below.rung.name
    fault = _unusable(reached.output) or _other_shape(reached.output, below.output)
    if fault is not None:
        return RungResult(
            name=name, against=against, status="fail", reason=fault, thresholds=dict(limits)
        )
    metrics = compare_all(below.output, reached.output)
    faults = _missed(metrics, limits)
    if reached.fault and not below.fault:
        faults.append(f"degenerate output: {reached.fault}")
    return RungResult(
        name=name,
        against=against,
        status="fail" if faults else "pass" if limits else "report",
        reason="; ".join(faults) or _remark(reached, limits),
        metrics=metrics,
        thresholds=dict(limits),
    )


def _other_shape(output: _Array, reference: _Array) -> str | None:
    if output.shape == reference.shape:
        return None
    return f"the output has shape {list(output.shape)}, the rung before {list(reference.shape)}"


def _missed(metrics: dict[str, float | None], limits: Limits) -> list[str]:
    """One phrase per limit that was missed: metric, value, limit."""
    missed = []
    for name, limit in limits.items():
        value = metrics[name]
        upper = get_comparator(name).better == "lower"
        if value is None or (value > limit if upper else value < limit):
            bound = "at most" if upper else "at least"
            missed.append(f"{name} is {value:.4g}, {bound} {limit:.4g} is wanted")
    return missed


def _remark(reached: _Reached, limits: Limits) -> str | None:
    """What is worth saying of a rung that did not fail."""
    if reached.fault:
        return f"degenerate output, as the rung before: {reached.fault}"
    return None if limits else "across compression: the drift is reported, not judged"
