"""Send folders to a device, each content only once.

On the device, below the folder that slmdeploy owns::

    blobs/SHA256                   every file, named by its content
    blobs/SHA256.stamp             inode, bytes and time it had when it was verified
    blobs/SHA256.chunks            of a large one: sha256, offset and bytes of its chunks
    bundles/NAME/DIGEST12/         artifact, manifest, licence: hard links to blobs
    bundles/NAME/current           its versions, the current one first
    runtimes/NAME/DIGEST12/        a runner and its libraries: hard links to blobs
    incoming/TAG/                  what is being sent

A blob gets its name after the device's own sha256 of it was right and it is on the disk;
a folder gets its name when all of it is there. A cut leaves the old folder, or the new
one, and the next push goes on where the last one stopped.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from slmdeploy.device.push import scripts
from slmdeploy.device.push.blobs import Sending
from slmdeploy.device.push.plan import Folder, Item
from slmdeploy.device.push.survey import There, distinct, own_tag, rows_of, script, survey
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
        sent_bytes: Content that went over the link.
        skipped_bytes: Content that did not have to: whole files, chunks of other files
            and what an interrupted push had sent.
        copied_bytes: Of these, what was copied from other files of the device.
        files: Every file of every folder.
        remarks: What the user should know, as of a damaged file that was sent anew.
        dry_run: Nothing was sent or changed.
    """

    device: str
    places: tuple[str, ...]
    sent_bytes: int
    skipped_bytes: int
    files: tuple[SentFile, ...]
    copied_bytes: int = 0
    remarks: tuple[str, ...] = ()
    dry_run: bool = False


def send(
    folders: Sequence[Folder],
    transport: Transport,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    verify: bool = False,
) -> Sent:
    """Bring folders to a device; what it has already is not sent again.

    Args:
        folders: What shall be there (``plan`` makes them).
        transport: The way to the device.
        progress: Called with bytes sent and bytes to send.
        dry_run: Only look what would be sent.
        verify: Hash all that is there, even what has not changed since it was verified.

    Raises:
        BundleError: A file of this computer is damaged or gone.
        TransferError: No room on the device, or a file did not arrive whole.
        ConnectError: The device went away.
    """
    tag = uuid.uuid4().hex[:12]
    with own_tag(tag):
        there = survey(transport, folders, write=not dry_run, verify=verify)
        missing = {s: item for s, item in distinct(folders).items() if s not in there.blobs}
        sending = Sending(transport, tag, missing, there)
        if not dry_run:
            with _cleaned_up(transport, tag):
                sending.run(progress)
                _finish(transport, tag, folders, there, sending)
    return _sent(transport, folders, sending, dry_run=dry_run)


@contextlib.contextmanager
def _cleaned_up(transport: Transport, tag: str) -> Iterator[None]:
    """Remove what was sent if it cannot be used; keep it where the next push goes on.

    A lost connection and Ctrl-C are such: what arrived is good.
    """
    try:
        yield
    except ConnectError as error:
        raise ConnectError(
            f"The connection to {transport.name} was lost while files were sent to it.",
            hint="What arrived there is kept: the same command goes on from there.",
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException:
        with contextlib.suppress(DeviceError):
            transport.run(["rm", "-rf", f"{transport.home()}/incoming/{tag}"], timeout=30.0)
        raise


def _finish(
    transport: Transport, tag: str, folders: Sequence[Folder], there: There, sending: Sending
) -> None:
    """Give blobs and folders their names; nothing is asked for where all is as it was."""
    rows = []
    for sha, chunks in sending.indexes().items():
        rows.append(f"blob\t{sha}")
        rows += [f"chunk\t{c.sha256}\t{c.offset}\t{c.bytes}" for c in chunks]
    for folder in folders:
        if _unfinished(folder, there, sending.missing):
            rows.append(f"folder\t{folder.place}")
            rows += [f"file\t{item.sha256}\t{item.path}" for item in folder.items]
    rows += _current_rows(folders, there)
    if not rows:
        return
    result = transport.run(script(scripts.FINISH, transport, tag), stdin=rows_of(rows))
    if result.code != 0:
        raise TransferError(
            f"What was sent could not be put in its place on {transport.name}: "
            f"{result.stderr.strip() or 'no reason given'}.",
            hint="Look whether its disk is full or read-only, then push again.",
        )


def _current_rows(folders: Sequence[Folder], there: There) -> list[str]:
    runtime = next((f.place for f in folders if f.place.startswith("runtimes/")), "-")
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = []
    for folder in folders:
        name = folder.place.rpartition("/")[2]
        known = there.current.get(folder.parent, "").split(" ")
        as_it_was = known[0] == name and known[-1] == runtime
        if folder.place.startswith("bundles/") and not as_it_was:
            rows.append(f"current\t{folder.parent}\t{name}\t{when}\t{runtime}")
    return rows


def _unfinished(folder: Folder, there: There, sent: dict[str, Item]) -> bool:
    return any(
        item.sha256 in sent or f"{folder.place}/{item.path}" in there.absent
        for item in folder.items
    )


def _sent(
    transport: Transport, folders: Sequence[Folder], sending: Sending, *, dry_run: bool
) -> Sent:
    home = transport.home()
    content = sum(item.bytes for item in distinct(folders).values())
    return Sent(
        device=transport.name,
        places=tuple(f"{home}/{folder.place}" for folder in folders),
        sent_bytes=sending.sent_bytes,
        # What was damaged on the way was sent twice.
        skipped_bytes=max(0, content - sending.sent_bytes),
        copied_bytes=sending.copied_bytes,
        files=tuple(
            SentFile(f"{home}/{f.place}/{i.path}", i.bytes, i.sha256 in sending.missing)
            for f in folders
            for i in f.items
        ),
        remarks=tuple(sending.remarks),
        dry_run=dry_run,
    )
