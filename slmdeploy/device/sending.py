"""Send folders to a device, each content only once.

On the device, below the folder that slmdeploy owns::

    blobs/SHA256                   every file, named by its content
    bundles/NAME/DIGEST12/         artifact, manifest, licence: hard links to blobs
    runtimes/NAME/DIGEST12/        a runner and its libraries: hard links to blobs
    incoming/TAG/                  what is being sent

A blob gets its name after the device's own sha256 of it was right; a folder gets its
name when all of it is there. A cut leaves the old folder, or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.device import push_scripts as scripts
from slmdeploy.device.facts import parse_df
from slmdeploy.device.push_plan import Folder, Item
from slmdeploy.errors import ConnectError, DeviceError, TransferError
from slmdeploy.transport.base import Progress, Transport

__all__ = ["Sent", "SentFile", "send"]


@dataclass(frozen=True)
class SentFile:
    """A file on a device: its absolute path there, its bytes, and whether it was sent."""

    path: str
    bytes: int
    sent: bool


@dataclass(frozen=True)
class Sent:
    """What a transfer did, or with ``dry_run`` would do. Paths are those of the device.

    Attributes:
        device: Name of the device.
        places: Absolute path of each folder, in the order in which they were given.
        sent_bytes: Content that the device lacked.
        skipped_bytes: Content that it had.
        files: Every file of every folder.
        dry_run: Nothing was sent or changed.
    """

    device: str
    places: tuple[str, ...]
    sent_bytes: int
    skipped_bytes: int
    files: tuple[SentFile, ...]
    dry_run: bool = False


def send(
    folders: Sequence[Folder],
    transport: Transport,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> Sent:
    """Bring folders to a device; what it has already is not sent again.

    Args:
        folders: What shall be there (``push_plan`` makes them).
        transport: The way to the device.
        progress: Called with bytes sent and bytes to send.
        dry_run: Only look what would be sent.

    Raises:
        TransferError: No room on the device, or a file did not arrive whole.
        ConnectError: The device went away.
    """
    there = _survey(transport, folders, write=not dry_run)
    missing = _missing(folders, there)
    if not dry_run:
        _refuse_full_disk(transport, missing, there.free_bytes)
        _send(transport, missing, progress)
        _link(transport, [f for f in folders if _unfinished(f, there, missing)])
    return _sent(transport, folders, missing, dry_run=dry_run)


@dataclass(frozen=True)
class _Survey:
    """What is on the device: whole blobs, paths without their file, free bytes."""

    blobs: frozenset[str]
    absent: frozenset[str]
    free_bytes: int | None


def _survey(transport: Transport, folders: Sequence[Folder], *, write: bool) -> _Survey:
    items = _distinct(folders)
    rows = [f"blob\t{sha}" for sha in items]
    rows += [f"file\t{item.sha256}\t{f.place}/{item.path}" for f in folders for item in f.items]
    argv = _script(scripts.SURVEY, transport.home(), "write" if write else "look")
    result = transport.run(argv, stdin=_rows(rows))
    if result.code != 0:
        raise TransferError(
            f"{transport.home()} on {transport.name} cannot be written to: "
            f"{result.stderr.strip() or 'no reason given'}.",
            hint="Look at the permissions of the home folder, and whether its disk is read-only.",
        )
    lines = result.stdout.splitlines()
    return _Survey(
        blobs=frozenset(_whole_blobs(lines, items)),
        absent=frozenset(line[7:] for line in lines if line.startswith("absent ")),
        free_bytes=_free_bytes(lines),
    )


def _whole_blobs(lines: Iterable[str], items: dict[str, Item]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("blob "):
            continue
        _, sha, size, digest = line.split()
        # Without a tool to hash with, the size must do: the blob was checked when it came.
        if int(size) == items[sha].bytes and digest in {sha, scripts.UNKNOWN}:
            yield sha


def _free_bytes(lines: Iterable[str]) -> int | None:
    try:
        return parse_df("\n".join(line[3:] for line in lines if line.startswith("df ")))
    except ValueError:
        return None  # unknown: the transfer itself will tell


def _missing(folders: Sequence[Folder], there: _Survey) -> dict[str, Item]:
    return {sha: item for sha, item in _distinct(folders).items() if sha not in there.blobs}


def _unfinished(folder: Folder, there: _Survey, sent: dict[str, Item]) -> bool:
    return any(
        item.sha256 in sent or f"{folder.place}/{item.path}" in there.absent
        for item in folder.items
    )


def _refuse_full_disk(
    transport: Transport, missing: dict[str, Item], free_bytes: int | None
) -> None:
    needed = sum(item.bytes for item in missing.values())
    if free_bytes is not None and needed > free_bytes:
        raise TransferError(
            f"{transport.name} has {free_bytes} bytes free at {transport.home()}, and "
            f"{needed} bytes would be sent.",
            hint=f"Remove what is not needed there, at least {needed - free_bytes} bytes.",
        )


def _send(transport: Transport, missing: dict[str, Item], progress: Progress | None) -> None:
    """Send blobs, have the device hash them, then give them their names."""
    if not missing:
        return
    incoming = f"{transport.home()}/incoming/{uuid.uuid4().hex[:12]}"
    total = sum(item.bytes for item in missing.values())
    done = 0
    try:
        for sha, item in missing.items():
            report = _shifted(progress, done, total)
            transport.put(item.source, f"{incoming}/{sha}", mode=item.mode, progress=report)
            done += item.bytes
        _verify(transport, incoming, missing)
        argv = _script(scripts.STORE, transport.home(), incoming)
        transport.check(argv, stdin=_rows(missing))
    except ConnectError:
        raise  # nothing can be cleaned now; a push of another day does it
    except BaseException:
        with contextlib.suppress(DeviceError):
            transport.run(["rm", "-rf", incoming], timeout=10.0)
        raise


def _verify(transport: Transport, incoming: str, missing: dict[str, Item]) -> None:
    result = transport.check(_script(scripts.VERIFY, incoming), stdin=_rows(missing))
    digests = dict(line.split() for line in result.stdout.splitlines())
    for sha, item in missing.items():
        digest = digests.get(sha, scripts.UNKNOWN)
        if digest == scripts.UNKNOWN:
            digest = _read_back(transport, f"{incoming}/{sha}")
        if digest != sha:
            raise TransferError(
                f"{item.path} arrived on {transport.name} with sha256 {digest}, not {sha}.",
                hint="Push again. If it happens again, suspect the board's disk or memory.",
            )


def _read_back(transport: Transport, path: str) -> str:
    """Hash a file of a device that cannot do it itself."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        transport.get(path, copy)
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _link(transport: Transport, folders: Sequence[Folder]) -> None:
    rows = []
    for folder in folders:
        rows.append(f"folder\t{folder.place}")
        rows += [f"file\t{item.sha256}\t{item.path}" for item in folder.items]
    if rows:
        argv = _script(scripts.LINK, transport.home(), uuid.uuid4().hex[:12])
        transport.check(argv, stdin=_rows(rows))


def _sent(
    transport: Transport, folders: Sequence[Folder], missing: dict[str, Item], *, dry_run: bool
) -> Sent:
    home = transport.home()
    return Sent(
        device=transport.name,
        places=tuple(f"{home}/{folder.place}" for folder in folders),
        sent_bytes=sum(item.bytes for item in missing.values()),
        skipped_bytes=sum(i.bytes for sha, i in _distinct(folders).items() if sha not in missing),
        files=tuple(
            SentFile(f"{home}/{f.place}/{i.path}", i.bytes, i.sha256 in missing)
            for f in folders
            for i in f.items
        ),
        dry_run=dry_run,
    )


def _distinct(folders: Sequence[Folder]) -> dict[str, Item]:
    return {item.sha256: item for folder in folders for item in folder.items}


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _script(text: str, *arguments: str) -> list[str]:
    return ["sh", "-c", text, "slmdeploy", *arguments]


def _rows(rows: Iterable[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()
