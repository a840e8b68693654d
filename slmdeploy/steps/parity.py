"""Artifacts of several runtimes against the one compressed model that they were made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.steps.outputs import stored_output
from slmdeploy.verify.comparators.registry import compare_all

__all__ = ["against_compressed", "logits_sha256"]

_Arrays = Mapping[str, npt.NDArray[Any]]
_COMPRESSED = ("logits.compressed", "output.compressed.0")


def against_compressed(
    ran: _Arrays, golden: _Arrays, rungs: Sequence[RungResult], *, lengths: bool = False
) -> tuple[RungResult, ...]:
    """Hold what an artifact gave against the compressed model, not against the rung before.

    Args:
        ran: Outputs by the rung's name.
        golden: Among them those of the compressed model.
        rungs: What the ladder said of the same rungs.
        lengths: The artifact has a method for each of several lengths.
    """
    wanted = golden.get(_COMPRESSED[0])
    if wanted is None:
        wanted = stored_output(golden, "compressed", lengths=lengths)
    if wanted is None:
        return ()
    judged = {rung.name: rung for rung in rungs}
    return tuple(
        RungResult(
            name=name,
            against="compressed",
            status=judged[name].status,
            metrics=compare_all(wanted, output) if output.shape == wanted.shape else {},
        )
        for name, output in ran.items()
    )


def logits_sha256(golden: _Arrays) -> str | None:
    """sha256 of what the compressed model gave; ``None`` where that was not kept."""
    found = _compressed(golden)
    if found is None:
        return None
    return hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()


def _compressed(golden: _Arrays) -> npt.NDArray[Any] | None:
    return next((golden[name] for name in _COMPRESSED if name in golden), None)
