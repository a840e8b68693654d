"""The versions of bundles on a device: listed, rolled back, removed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from slmdeploy.device.push import deployment_scripts as scripts
from slmdeploy.device.push.survey import rows_of, script
from slmdeploy.errors import DeviceError, UnknownNameError, UsageError
from slmdeploy.transport.base import Transport

__all__ = [
    "BoardFile",
    "Listing",
    "Removed",
    "Rollback",
    "Version",
    "list_deployments",
    "parse_listing",
    "remove_deployment",
    "remove_paths",
    "roll_back",
    "trim_history",
]

_VERSION = re.compile(r"(?:bundles|runtimes)/([^/]+)/([0-9a-f]{12})(?:/|$)")
_SECONDS = 300.0


@dataclass(frozen=True)
class Version:
    """A version of a bundle on a device.

    Attributes:
        name: The bundle.
        digest: The first 12 hex digits of its sha256; names its folder.
        place: Its folder, below the one that slmdeploy owns.
        bytes: Of its files; versions may share them.
        pushed: When it became current, by the clock of the computer that pushed it (ISO
            8601, UTC); ``None`` where no record of it is left.
        runtime: The runtime it was pushed with, as a place; ``None`` likewise.
        current: Whether it is the current one.
        running: Whether a process there uses it.
    """

    name: str
    digest: str
    place: str
    bytes: int
    pushed: str | None
    runtime: str | None
    current: bool
    running: bool


@dataclass(frozen=True)
class BoardFile:
    """A file of a device: inode, hard links, bytes, path below our folder."""

    inode: int
    links: int
    bytes: int
    path: str


@dataclass
class Listing:
    """What is on a device.

    Attributes:
        versions: By bundle, the current one first, then those that were current before.
        history: By bundle, the rows of its ``current`` file.
        files: What was asked for.
        running: Places that a process uses.
        left: Folders that a cut push or removal left.
        living: Pushes that somebody still sends.
    """

    versions: tuple[Version, ...] = ()
    history: dict[str, list[str]] = field(default_factory=dict)
    files: list[BoardFile] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    living: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Rollback:
    """A bundle went back from a version to another, or with ``dry_run`` would."""

    device: str
    name: str
    before: str
    now: str
    dry_run: bool = False


@dataclass(frozen=True)
class Removed:
    """What was removed, or with ``dry_run`` would be.

    Attributes:
        device: Name of the device.
        paths: Each path below the folder that slmdeploy owns, and its bytes.
        bytes: Room that this makes.
        remarks: What else was seen there that somebody should look at.
    """

    device: str
    paths: tuple[tuple[str, int], ...]
    bytes: int
    dry_run: bool = False
    remarks: tuple[str, ...] = ()


def list_deployments(transport: Transport, *, everything: bool = False) -> Listing:
    """Look which bundles are on a device.

    Args:
        transport: The way to the device.
        everything: Look at blobs, runtimes and remains as well.

    Raises:
        ConnectError: The device is away.
    """
    argv = script(scripts.LIST, transport, "all" if everything else "bundles")
    return parse_listing(transport.check(argv, timeout=_SECONDS).stdout)


def parse_listing(text: str) -> Listing:
    """What the script said."""
    found = Listing()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "current":
            name, _, row = rest.partition(" ")
            found.history.setdefault(name, []).append(row)
        elif kind == "file":
            inode, links, size, path = rest.split(" ", 3)
            found.files.append(BoardFile(int(inode), int(links), int(size), path))
        elif kind == "runs":
            found.running.update(m[0].rstrip("/") for m in _VERSION.finditer(rest))
        elif kind == "left":
            found.left.append(rest)
        elif kind == "tag" and rest.split(" ")[1] == "alive":
            found.living.add(rest.split(" ")[0])
    found.versions = tuple(_versions(found))
    return found


def roll_back(
    transport: Transport, name: str, digest: str | None = None, *, dry_run: bool = False
) -> Rollback:
    """Make the version before the current one current again; a second time goes back.

    Args:
        transport: The way to the device.
        name: The bundle.
        digest: Which version instead; its first digits will do.
        dry_run: Only say what would be done.

    Raises:
        UnknownNameError: No such bundle or version is there.
        UsageError: There is no version before.
        DeviceError: The device cannot write it down.
    """
    listing = list_deployments(transport)
    there = _of(transport, listing, name)
    if digest is not None:
        target = _named(there, name, digest)
    elif len(there) > 1:
        target = there[1]
    else:
        raise UsageError(
            f"{transport.name} has one version of {name} alone, {there[0].digest}.",
            hint="There is nothing to go back to.",
        )
    order = [target, *(version for version in there if version is not target)]
    if not dry_run and target is not there[0]:
        _write_history(transport, listing, name, order)
    return Rollback(transport.name, name, there[0].digest, target.digest, dry_run)


def remove_deployment(
    transport: Transport, name: str, digest: str | None = None, *, dry_run: bool = False
) -> Removed:
    """Remove a version of a bundle, or all of them, and the content that only they had.

    Args:
        transport: The way to the device.
        name: The bundle.
        digest: Which version; its first digits will do. ``None`` for all.
        dry_run: Only say what would be done.

    Raises:
        UnknownNameError: No such bundle or version is there.
        UsageError: It runs.
        DeviceError: It cannot be removed.
    """
    listing = list_deployments(transport, everything=True)
    there = _of(transport, listing, name)
    gone = there if digest is None else [_named(there, name, digest)]
    for version in gone:
        if version.running:
            raise UsageError(
                f"{name}@{version.digest} runs on {transport.name}.",
                hint=f"See: slmdeploy devices jobs {transport.name}",
            )
    if not dry_run:
        rest = [version for version in there if version not in gone]
        _write_history(transport, listing, name, rest)
    places = {version.place for version in gone}
    return remove_paths(transport, listing, places, dry_run=dry_run)


def trim_history(transport: Transport, listing: Listing, gone: Container[str]) -> None:
    """Forget versions that are about to be removed, named by their places."""
    for name in dict.fromkeys(version.name for version in listing.versions):
        there = [version for version in listing.versions if version.name == name]
        rest = [version for version in there if version.place not in gone]
        if len(rest) < len(there):
            _write_history(transport, listing, name, rest)


def remove_paths(
    transport: Transport,
    listing: Listing,
    folders: Iterable[str],
    others: Iterable[str] = (),
    *,
    dry_run: bool,
    all_blobs: bool = False,
) -> Removed:
    """Remove folders, and blobs that only they had.

    Args:
        transport: The way to the device.
        listing: What is there, all of it.
        folders: Places.
        others: Further paths, which no blob belongs to.
        dry_run: Only say what would be done.
        all_blobs: Also blobs that no folder had before.
    """
    gone = sorted(folders)
    others = sorted(others)
    lost = _lost_blobs(listing, gone, all_blobs=all_blobs)
    sizes = [*((p, _bytes_below(listing, p, own=True)) for p in gone), *lost]
    sizes += [(path, _bytes_below(listing, path, own=False)) for path in others]
    if not dry_run and sizes:
        rows = [f"folder\t{path}" for path in gone]
        rows += [f"file\t{path}" for path in others]
        rows += [f"blob\t{path}" for path, _ in lost]
        argv = script(scripts.REMOVE, transport, uuid.uuid4().hex[:12])
        result = transport.run(argv, stdin=rows_of(rows), timeout=_SECONDS)
        if result.code != 0:
            raise DeviceError(
                f"{transport.name} could not remove everything: "
                f"{result.stderr.strip() or 'no reason given'}.",
                hint="Look at the permissions below ~/.slmdeploy, and whether its disk is "
                "read-only.",
            )
    return Removed(transport.name, tuple(sizes), sum(size for _, size in sizes), dry_run)


def _versions(found: Listing) -> Iterable[Version]:
    sizes: dict[tuple[str, str], int] = {}
    for file in found.files:
        match = _VERSION.match(file.path)
        if match and file.path.startswith("bundles/") and file.path[match.end() - 1] == "/":
            key = match[1], match[2]
            sizes[key] = sizes.get(key, 0) + file.bytes
    for name in sorted({name for name, _ in sizes}):
        digests = [digest for known, digest in sizes if known == name]
        rows = {row.split(" ")[0]: row.split(" ") for row in found.history.get(name, ())}
        known = [digest for digest in rows if digest in digests]
        for digest in [*known, *sorted(set(digests) - set(known))]:
            place = f"bundles/{name}/{digest}"
            _, pushed, runtime, *_ = [*rows.get(digest, []), "-", "-", "-"]
            yield Version(
                name=name,
                digest=digest,
                place=place,
                bytes=sizes[name, digest],
                pushed=None if digest not in rows or pushed == "-" else pushed,
                runtime=None if digest not in rows or runtime == "-" else runtime,
                current=bool(known) and digest == known[0],
                running=place in found.running,
            )


def _of(transport: Transport, listing: Listing, name: str) -> list[Version]:
    there = [version for version in listing.versions if version.name == name]
    if not there:
        names = {version.name for version in listing.versions}
        raise UnknownNameError(f"deployment on {transport.name}", name, names)
    return there


def _named(there: Sequence[Version], name: str, digest: str) -> Version:
    found = [version for version in there if digest and version.digest.startswith(digest)]
    if len(found) != 1:
        raise UnknownNameError(f"version of {name}", digest, [v.digest for v in there])
    return found[0]


def _write_history(
    transport: Transport, listing: Listing, name: str, order: Sequence[Version]
) -> None:
    rows = {row.split(" ")[0]: row for row in listing.history.get(name, ())}
    kept = [rows.get(version.digest, f"{version.digest} - -") for version in order]
    argv = script(scripts.HISTORY, transport, name, uuid.uuid4().hex[:12])
    result = transport.run(argv, stdin=rows_of(kept))
    if result.code != 0:
        raise DeviceError(
            f"{transport.name} could not note which version of {name} is current: "
            f"{result.stderr.strip() or 'no reason given'}.",
            hint="Look whether its disk is full or read-only.",
        )


def _lost_blobs(listing: Listing, gone: Sequence[str], *, all_blobs: bool) -> list[tuple[str, int]]:
    """Blobs whose last folders go, and their bytes."""
    going: dict[int, int] = {}
    for file in listing.files:
        if any(file.path.startswith(f"{place}/") for place in gone):
            going[file.inode] = going.get(file.inode, 0) + 1
    return [
        (file.path, file.bytes)
        for file in listing.files
        if file.path.startswith("blobs/")
        and "." not in file.path
        and file.links - going.get(file.inode, 0) <= 1
        and (all_blobs or file.inode in going)
    ]


def _bytes_below(listing: Listing, path: str, *, own: bool) -> int:
    """Bytes of files below a path; with ``own`` of those that are not blobs as well."""
    inside = [f for f in listing.files if f.path == path or f.path.startswith(f"{path}/")]
    return sum(file.bytes for file in inside if file.links == 1 or not own)
