"""Remove what no bundle on a device uses: versions, runtimes, blobs, remains."""

from __future__ import annotations

from collections.abc import Iterator

from slmdeploy.device.provision.runtimes import read_places
from slmdeploy.device.push.deployments import (
    Listing,
    Removed,
    list_deployments,
    remove_paths,
    trim_history,
)
from slmdeploy.transport.base import Transport

__all__ = ["KEPT_VERSIONS", "collect_garbage"]

KEPT_VERSIONS = 2
"""Versions of a bundle that stay: the current one, and the one to go back to."""


def collect_garbage(
    transport: Transport, *, keep: int = KEPT_VERSIONS, dry_run: bool = False
) -> Removed:
    """Remove what nothing uses. What runs, and what is being sent now, stays.

    Args:
        transport: The way to the device.
        keep: Versions of each bundle that stay, the current one first.
        dry_run: Only say what would be removed.

    Raises:
        DeviceError: Something cannot be removed.
        ConnectError: The device is away.
    """
    listing = list_deployments(transport, everything=True)
    old = set(_old_versions(listing, keep))
    folders = old | set(_unused_runtimes(transport, listing, old))
    if not dry_run:
        trim_history(transport, listing, old)
    remains = {*_half_folders(listing), *_incoming(listing), *_orphans(listing)}
    return remove_paths(transport, listing, folders, remains, dry_run=dry_run, all_blobs=True)


def _old_versions(listing: Listing, keep: int) -> Iterator[str]:
    count: dict[str, int] = {}
    for version in listing.versions:  # the current one of each bundle comes first
        count[version.name] = count.get(version.name, 0) + 1
        if count[version.name] > keep and not version.running:
            yield version.place


def _unused_runtimes(transport: Transport, listing: Listing, old: set[str]) -> Iterator[str]:
    """Runtimes that no kept version was pushed with, and that nobody provisioned."""
    there = read_places(transport)
    kept = [v.runtime for v in listing.versions if v.runtime and v.place not in old]
    home = transport.home()
    used = {path for entry in there.ready for path in (entry.folder, *entry.python_path)}
    for folder in there.folders:
        place = f"runtimes/{folder}"
        provisioned = any(f"{path}/".startswith(f"{home}/{place}/") for path in used)
        if place not in kept and place not in listing.running and not provisioned:
            yield place


def _half_folders(listing: Listing) -> Iterator[str]:
    """Folders that were never finished, or half removed; named as in ``DIGEST12.part-TAG``."""
    for path in listing.left:
        if path.rpartition(".part-")[2].partition("-")[0] not in listing.living:
            yield path


def _incoming(listing: Listing) -> Iterator[str]:
    """What pushes left that nobody goes on with."""
    tags = {file.path.split("/")[1] for file in listing.files if file.path.startswith("incoming/")}
    yield from (f"incoming/{tag}" for tag in tags - listing.living)


def _orphans(listing: Listing) -> Iterator[str]:
    """What is noted of blobs that are gone."""
    paths = {file.path for file in listing.files if file.path.startswith("blobs/")}
    yield from (path for path in paths if "." in path and path.partition(".")[0] not in paths)
