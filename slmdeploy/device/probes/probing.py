"""What the sensors of a device say now, or over a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from slmdeploy.device.connect import connect
from slmdeploy.device.probes.reading import read_probes
from slmdeploy.device.probes.series import AgentCost, Series
from slmdeploy.device.probes.types import Measured
from slmdeploy.device.probes.watch import watched
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError

__all__ = ["Watched", "probe_now", "probe_over"]


@dataclass(frozen=True)
class Watched:
    """Series of a few seconds, and what the agent that read them has cost."""

    series: tuple[Series, ...]
    cost: AgentCost | None


def probe_now(device: Device, names: Sequence[str] | None = None) -> tuple[Measured, ...]:
    """Read the sensors of a device once; it needs no Python for that.

    Raises:
        UnknownNameError: There is no such probe.
        DeviceError: The device is away, or its shell cannot do it.
    """
    with closing(connect(device)) as transport:
        return read_probes(transport, names)


def probe_over(
    device: Device,
    seconds: float,
    names: Sequence[str] | None = None,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> Watched:
    """Read the sensors of a device for so many seconds.

    Raises:
        UnknownNameError: There is no such probe.
        DeviceError: The device is away, or cannot run the agent.
    """
    with closing(connect(device)) as transport:
        with watched(transport, program=None, names=names) as watch:
            if watch.reason is None:
                wait(seconds)
        seen = watch.result()
        if watch.reason is not None:
            raise DeviceError(
                f"{device.name} was not watched: {watch.reason}.",
                hint=f"One reading needs no Python: slmdeploy devices probe {device.name}",
            )
        return Watched(seen.series, seen.cost)
