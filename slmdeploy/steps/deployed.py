"""What a person asks of the deployments on devices: connect, do it, let go."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

from slmdeploy.device.connect import connect
from slmdeploy.device.lab.inventory import load_inventory
from slmdeploy.device.push import deployments as rooms
from slmdeploy.device.push.deployments import Removed, Rollback, Version, list_deployments
from slmdeploy.device.push.garbage import KEPT_VERSIONS, collect_garbage
from slmdeploy.device.runs.lease import read_holder
from slmdeploy.device.runs.settings import read_saved
from slmdeploy.device.types import Device
from slmdeploy.steps.at_once import at_once
from slmdeploy.steps.outcomes import Attempt
from slmdeploy.transport.base import Transport

__all__ = ["deployments", "gc", "remove_deployment", "rollback", "version_words"]

T = TypeVar("T")


def deployments(devices: Sequence[str]) -> tuple[Attempt[tuple[Version, ...]], ...]:
    """Which versions of which bundles are on devices (selectors), the current ones first."""
    return _each(devices, lambda transport: list_deployments(transport).versions)


def rollback(device: str, version: str, *, dry_run: bool = False) -> Rollback:
    """Make the version before the current one current again; ``NAME@DIGEST`` names another."""
    name, digest = version_words(version)
    return _on(
        load_inventory().get(device),
        lambda transport: rooms.roll_back(transport, name, digest, dry_run=dry_run),
    )


def remove_deployment(device: str, version: str, *, dry_run: bool = False) -> Removed:
    """Remove a bundle from a device, or one version of it (``NAME@DIGEST``)."""
    name, digest = version_words(version)
    return _on(
        load_inventory().get(device),
        lambda transport: rooms.remove_deployment(transport, name, digest, dry_run=dry_run),
    )


def gc(
    devices: Sequence[str], *, keep: int | None = None, dry_run: bool = False
) -> tuple[Attempt[Removed], ...]:
    """Remove from devices what no bundle there uses.

    Args:
        devices: Selectors, as ``--device`` takes them.
        keep: Versions of each bundle that stay; ``None`` for the usual two.
        dry_run: Only say what would be removed.
    """
    stay = KEPT_VERSIONS if keep is None else keep

    def work(transport: Transport) -> Removed:
        done = collect_garbage(transport, keep=stay, dry_run=dry_run)
        return dataclasses.replace(done, remarks=tuple(_left_changed(transport)))

    return _each(devices, work)


def version_words(version: str) -> tuple[str, str | None]:
    """The parts of ``NAME`` or ``NAME@DIGEST``."""
    name, at, digest = version.rpartition("@")
    return (name, digest) if at else (version, None)


def _left_changed(transport: Transport) -> Iterator[str]:
    """Settings are no garbage: they are named, and left as they are."""
    changed = read_saved(transport)
    if changed is not None and read_holder(transport) is None:
        name = transport.name
        yield f"{name}: settings were left {changed}. See: slmdeploy devices restore {name}"


def _each(devices: Sequence[str], work: Callable[[Transport], T]) -> tuple[Attempt[T], ...]:
    return at_once(devices, lambda device, _: _on(device, work))


def _on(device: Device, work: Callable[[Transport], T]) -> T:
    with closing(connect(device)) as transport:
        return work(transport)
