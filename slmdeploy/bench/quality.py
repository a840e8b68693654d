"""How often a classifier is right on the device: its artifact over labelled texts.

Each text is a process of its own, as the runner takes one set of inputs; nothing of it is
timed. Calibration is the expected calibration error over ten bins of equal width (Guo et al.
2017, arXiv 1706.04599).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.bench.metrics import METRICS
from slmdeploy.bench.summary import MetricValue
from slmdeploy.bundle.methods import FORWARD, Call, method_for
from slmdeploy.errors import DeviceError
from slmdeploy.runtime.protocol import InvokeRequest, Runner

__all__ = ["CHOSEN", "CLASSES", "TOKENS", "has_labelled", "measure_quality"]

CLASSES = "labelled.class"
"""Golden array of the right classes, int64 [N]; ``labelled.input.<i>`` has a row a text."""
CHOSEN = "labelled.source"
"""Golden array of what the source chooses, int64 [N]."""

TOKENS = "labelled.tokens"
"""Golden array of the tokens of each text, int64 [N], where methods take texts of several
lengths; a row of ``labelled.input.<i>`` is as long as the longest of them."""

_BINS = 10
_INPUT = "labelled.input."
_Arrays = Mapping[str, npt.NDArray[Any]]


def has_labelled(golden: _Arrays) -> bool:
    """Whether the bundle was made with labelled texts."""
    return CLASSES in golden


def measure_quality(
    runner: Runner,
    golden: _Arrays,
    *,
    lengths: Mapping[str, int] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, MetricValue]:
    """Classify every labelled text of a bundle on the device.

    Args:
        runner: Starts one process on the device per text.
        golden: The bundle's golden vectors.
        lengths: Tokens of a text by method, where there are several (``lengths_of``): each
            text goes through the shortest that it fits.
        threads: Worker threads.
        progress: Told after each text how many are done, of how many.

    Returns:
        The metrics of quality; where the device failed, with its reason in place of values.
    """
    right = golden[CLASSES]
    logits = []
    for row in range(len(right)):
        method, inputs = _call(golden, row, lengths or {})
        try:
            outputs, _ = runner.invoke(InvokeRequest(method, inputs, threads=threads))
        except DeviceError as error:
            return _values({}, len(right), f"text {row + 1} of {len(right)}: {error.message}")
        logits.append(outputs[0].reshape(-1).astype(np.float64))
        if progress is not None:
            progress(row + 1, len(right))
    found = {"accuracy_percent": _percent(np.stack(logits).argmax(axis=1) == right)}
    found["calibration_error_percent"] = 100 * _calibration_error(np.stack(logits), right)
    if CHOSEN in golden:
        found["source_accuracy_percent"] = _percent(golden[CHOSEN] == right)
    return _values(found, len(right), "not kept in the bundle")


def _call(golden: _Arrays, row: int, lengths: Mapping[str, int]) -> Call:
    """The method for a text, and what it takes."""
    count = sum(name.startswith(_INPUT) for name in golden)
    inputs = tuple(golden[f"{_INPUT}{index}"][row : row + 1] for index in range(count))
    if not lengths:
        return FORWARD, inputs
    method = method_for(lengths, int(golden[TOKENS][row]))
    return method, tuple(one[:, : lengths[method]] for one in inputs)


def _values(found: Mapping[str, float], count: int, reason: str) -> dict[str, MetricValue]:
    names = ("accuracy_percent", "source_accuracy_percent", "calibration_error_percent")
    return {
        name: MetricValue(
            value=found.get(name),
            unit=METRICS[name].unit,
            n=count if name in found else 0,
            reason=None if name in found else reason,
        )
        for name in names
    }


def _percent(hits: npt.NDArray[np.bool_]) -> float:
    return 100 * float(hits.mean())


def _calibration_error(logits: npt.NDArray[np.float64], right: npt.NDArray[Any]) -> float:
    """Mean distance between confidence and accuracy, over bins of confidence; 0 to 1."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (raised / raised.sum(axis=1, keepdims=True)).max(axis=1)
    hits = logits.argmax(axis=1) == right
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [
        (bins == one).sum() * abs(sure[bins == one].mean() - hits[bins == one].mean())
        for one in range(_BINS)
        if (bins == one).any()
    ]
    return float(sum(gaps) / len(right))
