"""Transports by name: an entry point of the group ``slmdeploy.transports`` each.

An entry point names a class with ``from_endpoint``; its module is loaded only when
the transport is opened. The built-in ones come in by the same door.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from slmdeploy.errors import UnknownNameError
from slmdeploy.transport.base import Transport
from slmdeploy.transport.endpoint import Endpoint

__all__ = ["GROUP", "TransportFactory", "open_transport", "transport_names"]

GROUP = "slmdeploy.transports"


class TransportFactory(Protocol):
    """What an entry point of the group names."""

    def from_endpoint(self, endpoint: Endpoint) -> Transport:
        """Open the way to a device."""


def transport_names() -> tuple[str, ...]:
    """Names of the transports that are installed, sorted."""
    return tuple(sorted(_installed()))


def open_transport(kind: str, endpoint: Endpoint) -> Transport:
    """Open the way to a device.

    Args:
        kind: Name of the transport, as in ``ssh``.
        endpoint: Where the device is.

    Raises:
        UnknownNameError: No such transport is installed.
        DeviceError: The device cannot be reached.
    """
    found = _installed()
    if kind not in found:
        raise UnknownNameError("transport", kind, found)
    factory: TransportFactory = found[kind].load()
    return factory.from_endpoint(endpoint)


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
