"""Bring missing blobs to a board: planned, streamed, verified there, repaired once."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from slmdeploy.bundle.chunks import Chunk, hash_chunks
from slmdeploy.device.push import scripts
from slmdeploy.device.push.plan import Item
from slmdeploy.device.push.sending_plan import SMALL_FILE_BYTES, BlobPlan, plan_blob, plan_rows
from slmdeploy.device.push.stream import Payload, archive, changed, unreadable
from slmdeploy.device.push.survey import (
    NEEDED,
    REPLACED,
    Place,
    There,
    find_chunks,
    locate,
    rows_of,
    script,
    sender_name,
)
from slmdeploy.errors import TransferError
from slmdeploy.target.units import format_bytes
from slmdeploy.transport.base import Pours, Progress, Result, Transport

__all__ = ["Sending"]

_SPARE_BYTES = 1 << 20  # for indexes, stamps and folders


class Sending:
    """The blobs that a board lacks, and how they get there.

    Args:
        transport: The way to the board.
        tag: Names this push there.
        missing: The blobs, by sha256.
        there: What the board has.

    Attributes:
        missing: The blobs, by sha256.
        remarks: What the user should know.
        sent_bytes: Content to send; what damage on the board adds is added when it is found.
        copied_bytes: Content to copy on the board.
    """

    def __init__(
        self, transport: Transport, tag: str, missing: Mapping[str, Item], there: There
    ) -> None:
        self.missing = dict(missing)
        self.remarks: list[str] = []
        self._transport = transport
        self._tag = tag
        self._there = there
        self._chunks: dict[str, tuple[Chunk, ...]] = {}
        lacking = {tool for tool in NEEDED if tool in there.lacks}
        whole_files = bool(lacking) and lacking <= REPLACED
        self._pours = isinstance(transport, Pours) and not whole_files
        self._small, self._plans = self._planned()
        self.sent_bytes = sum(item.bytes for item in self._small)
        self.sent_bytes += sum(plan.sent_bytes for plan in self._plans)
        self.copied_bytes = sum(plan.copied_bytes for plan in self._plans)

    def run(self, progress: Progress | None) -> None:
        """Bring them there; afterwards each is whole, on the disk, and has no name yet.

        Raises:
            BundleError: A file of this computer is damaged or gone.
            TransferError: No room, a tool is missing there, or a blob is damaged twice.
            ConnectError: The board went away.
        """
        if not self.missing:
            return
        self._refuse_full_disk()
        if not self._pours:
            self._put(progress)
            return
        self._refuse_lacking()
        meter = _Meter(progress, self.sent_bytes)
        damaged = self._receive(self._small, self._plans, meter)
        if damaged:
            self._repair(damaged, meter)

    def indexes(self) -> dict[str, tuple[Chunk, ...]]:
        """Each blob that came, and its chunks; none of those that are one chunk anyway."""
        return {
            sha: chunks if len(chunks) > 1 else ()
            for sha in self.missing
            for chunks in (self._chunks.get(sha, ()),)
        }

    def _planned(self) -> tuple[list[Item], list[BlobPlan]]:
        """Small files to send together, and a plan for each other one; the largest last."""
        parts = self._there.parts if self._pours else {}
        small: list[Item] = []
        large: list[Item] = []
        for sha, item in self.missing.items():
            part = parts.get(sha)
            arrived = part is not None and part.bytes == item.bytes
            is_small = item.bytes < SMALL_FILE_BYTES and not arrived
            (small if is_small and self._pours else large).append(item)
        large.sort(key=lambda item: item.bytes)
        found = self._reusable(large)
        plans = [
            plan_blob(i, self._chunks.get(i.sha256), found, parts.get(i.sha256)) for i in large
        ]
        return small, plans

    def _reusable(self, items: Sequence[Item]) -> dict[str, Place]:
        """Where on the board chunks of the items are.

        Files are hashed for it only if there may be any, or if a part of one is there:
        else they are hashed while they are sent.
        """
        if not self._pours:
            return {}
        there = self._there
        damaged = {blob.sha256 for blob in there.damaged}
        for item in items:
            if there.has_chunks or item.sha256 in there.parts or item.sha256 in damaged:
                self._chunks[item.sha256] = _hashed(item)
        found: dict[str, Place] = {}
        if there.has_chunks and self._chunks:
            wanted = dict.fromkeys(c.sha256 for chunks in self._chunks.values() for c in chunks)
            found = find_chunks(self._transport, wanted)
        # Last, so that of a damaged blob only those chunks are taken that are whole.
        lost = {f"blobs/{sha}" for sha in damaged}
        found = {sha: place for sha, place in found.items() if place.file not in lost}
        for sha in damaged:
            if sha in self._chunks:
                found.update(self._located(f"blobs/{sha}", sha))
            self.remarks.append(self._said(sha, found))
        return found

    def _located(self, file: str, sha: str) -> dict[str, Place]:
        rows = [(c.offset, c.bytes, c.sha256) for c in self._chunks[sha]]
        return locate(self._transport, file, rows)

    def _said(self, sha: str, found: Mapping[str, Place]) -> str:
        path, chunks = self.missing[sha].path, self._chunks.get(sha, ())
        lost = [chunk for chunk in chunks if chunk.sha256 not in found]
        what = f"{len(lost)} of its {len(chunks)} chunks" if len(chunks) > 1 else "it"
        return (
            f"{path} on {self._transport.name} was damaged (its content had changed): {what} "
            "had to be sent again."
        )

    def _receive(
        self,
        small: Sequence[Item],
        plans: Sequence[BlobPlan],
        meter: _Meter,
        aside: Iterable[str] = (),
    ) -> dict[str, str]:
        """Stream; gives the digest of each blob that is not what it should be."""
        packed = archive(small) if small else b""
        plan = rows_of(plan_rows(plans, small_bytes=len(packed), aside=list(aside)))
        payload = Payload(plan + packed, sum(item.bytes for item in small), plans, self._chunks)
        argv = script(scripts.RECEIVE, self._transport, self._tag, str(len(plan)), sender_name())
        transport = self._transport
        assert isinstance(transport, Pours)  # noqa: S101  run() asked
        with contextlib.closing(payload.blocks(meter.add)) as blocks:
            result = transport.pour(argv, blocks)
        return self._wrong(result, [*small, *(p.item for p in plans)])

    def _wrong(self, result: Result, items: Sequence[Item]) -> dict[str, str]:
        said = [line.split() for line in result.stdout.splitlines()]
        got = {row[1]: row[2] for row in said if row[0] == "got" and len(row) == 3}
        if result.code != 0 or len(got) < len(items):
            raise self._failed(result)
        for sha in [sha for sha, digest in got.items() if digest == scripts.UNKNOWN]:
            got[sha] = self._read_back(sha)
        return {i.sha256: got[i.sha256] for i in items if got[i.sha256] != i.sha256}

    def _failed(self, result: Result) -> TransferError:
        reason = result.stderr.strip().splitlines()[-1:] or [f"it ended with code {result.code}"]
        full = "No space left" in result.stderr or "quota" in result.stderr.lower()
        return TransferError(
            f"{self._transport.name} could not take what was sent: {reason[0]}.",
            hint=f"Make room there; slmdeploy devices gc {self._transport.name} removes what no "
            "bundle uses."
            if full
            else "Push again. If it happens again, look at the board's disk.",
        )

    def _repair(self, damaged: Mapping[str, str], meter: _Meter) -> None:
        """Send once more what is not whole, and nothing else of it."""
        plans, small = [], []
        for sha, digest in damaged.items():
            item = self.missing[sha]
            if item in self._small:
                small.append(item)
                continue
            self._chunks[sha] = _hashed(item)  # the damage may be on this side
            found = self._located(f"incoming/{self._tag}/{sha}", sha)
            bad = {
                s: Place(f"incoming/{self._tag}/{sha}.bad", p.offset, p.bytes)
                for s, p in found.items()
            }
            plan = plan_blob(item, self._chunks[sha], bad)
            plans.append(plan)
            lost = len([c for c in self._chunks[sha] if c.sha256 not in found])
            self.remarks.append(
                f"{item.path} came out on {self._transport.name} with sha256 {digest[:12]}..., not "
                f"{sha[:12]}...: {lost} of its {len(self._chunks[sha])} chunks were damaged there "
                "and were sent again."
            )
            self.sent_bytes += plan.sent_bytes
        aside = [plan.item.sha256 for plan in plans]
        meter.extend(sum(p.sent_bytes for p in plans) + sum(i.bytes for i in small))
        again = self._receive(small, plans, meter, aside)
        for sha, digest in again.items():
            raise self._twice(self.missing[sha], digest)

    def _twice(self, item: Item, digest: str) -> TransferError:
        return TransferError(
            f"{item.path} arrived on {self._transport.name} with sha256 {digest}, not "
            f"{item.sha256}.",
            hint="Push again. If it happens again, suspect the board's disk or memory.",
        )

    def _put(self, progress: Progress | None) -> None:
        """Where nothing can be streamed (this computer links files): whole files."""
        meter = _Meter(progress, self.sent_bytes)
        folder = f"{self._transport.home()}/incoming/{self._tag}"
        for item in self.missing.values():
            self._transport.put(item.source, f"{folder}/{item.sha256}", mode=item.mode)
            meter.add(item.bytes)
        rows = [f"blob {i.sha256} {i.bytes} - {i.bytes} 0" for i in self.missing.values()]
        with tempfile.TemporaryDirectory() as here:
            plan = Path(here) / "plan"
            plan.write_bytes(rows_of(rows))
            self._transport.put(plan, f"{folder}/plan")
        argv = script(scripts.RECEIVE, self._transport, self._tag, "0", sender_name())
        wrong = self._wrong(self._transport.run(argv), list(self.missing.values()))
        for sha, digest in wrong.items():
            item = self.missing[sha]
            if _digest(item.source) != sha:
                raise changed(item.source, digest, sha)
            raise self._twice(item, digest)

    def _refuse_full_disk(self) -> None:
        """Copies take room as well; what arrived earlier has it already."""
        free = self._there.free_bytes
        needed = sum(item.bytes for item in self._small)
        needed += sum(plan.item.bytes - plan.kept_bytes for plan in self._plans)
        if free is not None and needed + _SPARE_BYTES > free:
            name = self._transport.name
            raise TransferError(
                f"{name} has {free} bytes free at {self._transport.home()}, and {needed} bytes "
                "would be written.",
                hint="Remove what is not needed there, at least "
                f"{format_bytes(needed + _SPARE_BYTES - free)}; slmdeploy devices gc {name} "
                "removes what no bundle uses.",
            )

    def _refuse_lacking(self) -> None:
        lacks = [tool for tool in NEEDED if tool in self._there.lacks]
        if lacks:
            raise TransferError(
                f"{self._transport.name} lacks {', '.join(lacks)}.",
                hint="Install coreutils, findutils and tar there, or busybox 1.27 or newer.",
            )

    def _read_back(self, sha: str) -> str:
        """Hash a blob of a board that cannot do it itself."""
        place = f"{self._transport.home()}/incoming/{self._tag}"
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            small = any(item.sha256 == sha for item in self._small)
            self._transport.get(f"{place}/small/{sha}" if small else f"{place}/{sha}", copy)
            return _digest(copy)


class _Meter:
    """Counts bytes of content for a ``Progress``."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

    def extend(self, count: int) -> None:
        self._total += count


def _hashed(item: Item) -> tuple[Chunk, ...]:
    try:
        digest, chunks = hash_chunks(item.source)
    except OSError as error:
        raise unreadable(item.source, error) from error
    if digest != item.sha256:
        raise changed(item.source, digest, item.sha256)
    return chunks


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
