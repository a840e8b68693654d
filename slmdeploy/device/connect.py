"""From a device of the inventory to a way to reach it."""

from __future__ import annotations

from slmdeploy.device.types import Device
from slmdeploy.transport.base import Transport
from slmdeploy.transport.open import open_transport

__all__ = ["connect"]


def connect(device: Device) -> Transport:
    """Open the way to a device; use it within ``contextlib.closing``.

    Raises:
        UnknownNameError: Its transport is not installed.
        ConnectError: It is away, or does not answer.
        HostKeyError: Its host key is unknown, or is not the one that was pinned.
        AuthError: It does not let us in.
    """
    return open_transport(device.transport, device.endpoint)
