"""From the results of a climb to an error that says which rung broke, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.errors import DeviceParityError, ParityError
from slmdeploy.verify.thresholds import RungKind

__all__ = ["CAUSES", "broken_rung", "verdict"]

CAUSES: Mapping[RungKind, str] = {
    "source": "Weights that are damaged or overflow give NaN: run slmdeploy inspect on the model.",
    "decoder": "The decoder disagrees with the model's own code: rotary frequencies, a norm's"
    " epsilon, tied embeddings or a weight under the wrong name are the usual causes.",
    "compressed": "The recipe ruins this model: take more bits, smaller groups, or keep the head"
    " at 8 bits (--recipe).",
    "exported": "The exported program is not the module: a branch or a Python number was frozen"
    " while tracing, or a cache buffer is not written in place.",
    "float32": "The package does not compute what was converted: a pass of the converter changed"
    " it, weights were compressed anew, or a file of it was changed.",
    "float16": "Rounding to float16 costs too much: slmdeploy inspect BUNDLE names what overflows,"
    " and late positions need rotary angles from a table.",
    "artifact": "A lowering pass or a delegate changed the arithmetic, as XNNPACK does to"
    " weight-only quantized tensors (scales are dropped): export with another recipe.",
    "device": "The runner or its kernels on the device differ from the host's: push again, and"
    " compare the versions with slmdeploy doctor.",
}
"""What usually breaks a rung, by its kind."""


def broken_rung(results: Sequence[RungResult]) -> RungResult | None:
    """The rung that broke; ``None`` where none did."""
    return next((result for result in results if result.status == "fail"), None)


def verdict(results: Sequence[RungResult], kinds: Mapping[str, RungKind] | None = None) -> None:
    """Raise if a rung broke.

    Args:
        results: What ``climb`` gave.
        kinds: Kind of each rung by its name; not needed where a name is its kind, or
            begins with it as in ``device pi5-a``.

    Raises:
        ParityError: A rung on the host broke; the message names rung, metric, value
            and limit, the hint the usual cause.
        DeviceParityError: The device's rung broke.
    """
    broken = broken_rung(results)
    if broken is None:
        return
    kind = _kind(broken.name, kinds)
    against = f" against {broken.against!r}" if broken.against else ""
    message = f"The rung {broken.name!r} broke{against}: {broken.reason}."
    error = DeviceParityError if kind == "device" else ParityError
    raise error(message, hint=None if kind is None else CAUSES[kind])


def _kind(name: str, kinds: Mapping[str, RungKind] | None) -> RungKind | None:
    if kinds is not None and name in kinds:
        return kinds[name]
    first = re.split(r"[^a-z]", name)[0]
    return next((kind for kind in CAUSES if kind == first), None)
