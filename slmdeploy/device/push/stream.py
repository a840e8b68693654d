"""The bytes of a push, read and hashed ahead of the connection that carries them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import queue
import tarfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.bundle.chunks import CHUNK_BYTES, Chunk, cut_file
from slmdeploy.device.push.plan import Item
from slmdeploy.device.push.sending_plan import BlobPlan, Send
from slmdeploy.errors import BundleError

__all__ = ["Payload", "archive", "changed", "read_ahead", "unreadable"]

_AHEAD = 4
"""Blocks that are read before they are sent."""


@dataclass
class Payload:
    """What goes through the channel: the plan, the small files' archive, the large blobs.

    Attributes:
        head: The plan and the archive.
        small_bytes: Content of the small files.
        plans: Large blobs, in order.
        chunks: By sha256, the chunks of blobs that were hashed while they were sent.
    """

    head: bytes
    small_bytes: int
    plans: Sequence[BlobPlan]
    chunks: dict[str, tuple[Chunk, ...]]

    def blocks(self, tell: Callable[[int], None]) -> Generator[bytes, None, None]:
        """Yield all bytes.

        Args:
            tell: Is given the bytes of content that were taken since the last time.

        Raises:
            BundleError: A file is not what its hash says, or became shorter.
        """
        yield self.head
        if self.small_bytes:
            tell(self.small_bytes)
        try:
            for block in read_ahead(self._content()):
                yield block
                tell(len(block))
        except OSError as error:
            raise unreadable(error.filename or "A file", error) from error

    def _content(self) -> Iterator[bytes]:
        for plan in self.plans:
            if plan.chunks is None and not plan.part:
                yield from self._hashed(plan.item)
                continue
            with plan.item.source.open("rb", buffering=0) as file:
                for piece in plan.pieces:
                    if isinstance(piece, Send):
                        yield from _range(file, plan.item, piece)

    def _hashed(self, item: Item) -> Iterator[bytes]:
        """All of a file. The board's digest of it tells whether it is the right one."""
        chunks = []
        with item.source.open("rb", buffering=0) as file:
            for offset, size in cut_file(item.source):
                data = _exactly(file, item, size)
                chunks.append(Chunk(offset, size, hashlib.sha256(data).hexdigest()))
                yield data
        self.chunks[item.sha256] = tuple(chunks)


def archive(items: Sequence[Item]) -> bytes:
    """Small files as one tar archive, named by their sha256.

    Raises:
        BundleError: A file cannot be read, or is not what its hash says.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for item in items:
            data = _bytes_of(item.source)
            digest = hashlib.sha256(data).hexdigest()
            if digest != item.sha256:
                raise changed(item.source, digest, item.sha256)
            entry = tarfile.TarInfo(item.sha256)
            entry.size, entry.mode = len(data), item.mode
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def read_ahead(blocks: Iterator[bytes], depth: int = _AHEAD) -> Generator[bytes, None, None]:
    """Run an iterator in a thread of its own, a few steps ahead; its errors come out here."""
    taken: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()
    argv = (blocks, taken, stop)
    thread = threading.Thread(target=_fill, args=argv, name="slmdeploy-read-ahead", daemon=True)
    thread.start()
    try:
        while (entry := taken.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry
    finally:
        stop.set()
        thread.join()


def _fill(
    blocks: Iterator[bytes],
    taken: queue.Queue[bytes | BaseException | None],
    stop: threading.Event,
) -> None:
    """Put what an iterator gives into a queue, then its error or ``None``."""
    end: BaseException | None = None
    try:
        for block in blocks:
            if not _put(block, taken, stop):
                return
    except BaseException as error:  # noqa: BLE001  it is raised in the other thread
        end = error
    _put(end, taken, stop)


def _put(
    entry: bytes | BaseException | None,
    taken: queue.Queue[bytes | BaseException | None],
    stop: threading.Event,
) -> bool:
    while not stop.is_set():
        with contextlib.suppress(queue.Full):
            taken.put(entry, timeout=0.2)
            return True
    return False


def unreadable(source: Path | str, error: OSError) -> BundleError:
    """The error for a file of this computer that cannot be read."""
    return BundleError(
        f"{source} cannot be read: {error.strerror or error}.",
        hint="Export it again, or copy the whole folder.",
    )


def changed(source: Path, found: str, expected: str) -> BundleError:
    """The error for a file of this computer that is not the one it should be."""
    return BundleError(
        f"{source} is not the file that the manifest names: its sha256 is {found}, not {expected}.",
        hint="Export it again: it was changed or damaged since.",
    )


def _bytes_of(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise unreadable(source, error) from error


def _range(file: io.FileIO, item: Item, piece: Send) -> Iterator[bytes]:
    file.seek(piece.offset)
    left = piece.bytes
    while left:
        data = _exactly(file, item, min(left, CHUNK_BYTES))
        left -= len(data)
        yield data


def _exactly(file: io.FileIO, item: Item, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise BundleError(
            f"{item.source} became shorter while it was sent.", hint="Export it again."
        )
    return data
