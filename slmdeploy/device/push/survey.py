"""What a board has already: whole blobs, parts of blobs, chunks, room on its disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from slmdeploy.device.facts import parse_df
from slmdeploy.device.push import scripts
from slmdeploy.device.push.plan import Folder, Item
from slmdeploy.device.runs.owner import has_ended, host_mark, owner_name
from slmdeploy.device.script import script as run_script
from slmdeploy.errors import TransferError
from slmdeploy.transport.base import Transport

__all__ = [
    "NEEDED",
    "REPLACED",
    "Damaged",
    "Part",
    "Place",
    "There",
    "distinct",
    "find_chunks",
    "locate",
    "own_tag",
    "parse_survey",
    "rows_of",
    "script",
    "sender_name",
    "survey",
]

NEEDED = ("awk", "dd", "dd with iflag=fullblock", "tar", "find")
"""Tools without which nothing can be received as a stream."""

REPLACED = frozenset({"dd with iflag=fullblock", "tar"})
"""Of these, what the transport's own ``put`` stands in for, with whole files."""

_KINDS = ("absent", "blob", "current", "df", "have", "indexes", "lacks", "part", "stamp", "tag")
_OWN_TAGS: set[str] = set()
_OWN_TAGS_LOCK = threading.Lock()


@dataclass(frozen=True)
class Part:
    """What arrived of a blob before a push was cut off: in which push, and bytes."""

    tag: str
    bytes: int


@dataclass(frozen=True)
class Place:
    """Where a chunk is on the board: a file below our folder, offset and bytes."""

    file: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Damaged:
    """A blob on the board whose content is not what its name says, and its bytes."""

    sha256: str
    bytes: int


@dataclass
class There:
    """What a survey found.

    Attributes:
        blobs: Blobs that are whole.
        doubtful: Blobs that changed since they were verified, or never were.
        absent: Files that are not yet in their folder.
        parts: By sha256, what may be resumed.
        current: By parent folder, the row of the current version.
        free_bytes: Room on the disk; ``None`` where it is not known.
        lacks: Tools that are missing.
        has_chunks: There are blobs whose chunks are indexed.
        damaged: Blobs that turned out not to be whole.
    """

    blobs: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    parts: dict[str, Part] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    free_bytes: int | None = None
    lacks: set[str] = field(default_factory=set)
    has_chunks: bool = False
    damaged: list[Damaged] = field(default_factory=list)


@contextmanager
def own_tag(tag: str) -> Iterator[None]:
    """While it is open, no other push of this process takes parts of this one."""
    with _OWN_TAGS_LOCK:
        _OWN_TAGS.add(tag)
    try:
        yield
    finally:
        with _OWN_TAGS_LOCK:
            _OWN_TAGS.discard(tag)


def survey(
    transport: Transport, folders: Sequence[Folder], *, write: bool, verify: bool = False
) -> There:
    """Look what is on a board; blobs that changed since they were verified are hashed there.

    Args:
        transport: The way to the board.
        folders: What shall be there.
        write: Whether folders may be made, and remains of old pushes removed.
        verify: Hash every blob, whatever was noted about it.

    Raises:
        TransferError: The home folder cannot be written to.
    """
    items = distinct(folders)
    rows = [f"blob\t{sha}" for sha in items]
    rows += [f"file\t{item.sha256}\t{f.place}/{item.path}" for f in folders for item in f.items]
    rows += [f"current\t{parent}" for parent in dict.fromkeys(f.parent for f in folders)]
    argv = script(scripts.SURVEY, transport, "write" if write else "look")
    result = transport.run(argv, stdin=rows_of(rows))
    if result.code != 0:
        raise TransferError(
            f"{transport.home()} on {transport.name} cannot be written to: "
            f"{result.stderr.strip() or 'no reason given'}.",
            hint="Look at the permissions of the home folder, and whether its disk is read-only "
            "or full.",
        )
    there = parse_survey(result.stdout)
    if verify:
        there.doubtful |= there.blobs
        there.blobs.clear()
    if there.doubtful:
        _rehash(transport, there, items, write=write)
    return there


def parse_survey(text: str) -> There:
    """What the survey's script said. Of several parts of a blob the longest is kept."""
    said: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind in said:
            said[kind].append(rest)
    there = There(
        absent=set(said["absent"]),
        parts=_best_parts(said["tag"], said["part"]),
        current=dict(_first(row) for row in said["current"]),
        free_bytes=_free_bytes(said["df"]),
        lacks=set(said["lacks"]),
        has_chunks=bool(said["indexes"]),
    )
    here = set(said["have"])
    there.blobs = {row.split(" ")[0] for row in {*said["blob"]} & {*said["stamp"]}} & here
    there.doubtful = here - there.blobs
    return there


def find_chunks(transport: Transport, wanted: Iterable[str]) -> dict[str, Place]:
    """Where on the board chunks are, by their sha256; those that it has."""
    said = transport.check(script(scripts.FIND, transport), stdin=rows_of(wanted)).stdout
    found = {}
    for line in said.splitlines():
        sha, offset, size, file = line.split(" ", 3)
        found[sha] = Place(file, int(offset), int(size))
    return found


def locate(
    transport: Transport, file: str, chunks: Sequence[tuple[int, int, str]]
) -> dict[str, Place]:
    """Which chunks of a damaged file are whole, by their sha256.

    Args:
        transport: The way to the board.
        file: Below our folder there.
        chunks: Offset, bytes and sha256 of each as they should be, one after the other.
    """
    argv = script(scripts.LOCATE, transport, file)
    said = transport.check(argv, stdin=rows_of(str(size) for _, size, _ in chunks)).stdout
    digests = said.split()
    return {
        sha: Place(file, offset, size)
        for (offset, size, sha), digest in zip(chunks, digests, strict=False)
        if digest == sha
    }


def distinct(folders: Sequence[Folder]) -> dict[str, Item]:
    """Every content once, by its sha256."""
    return {item.sha256: item for folder in folders for item in folder.items}


def sender_name() -> str:
    """Who sends, as a board notes it: ``owner_name`` after ``host_mark``."""
    return f"{host_mark()} {owner_name()}"


def script(text: str, transport: Transport, *arguments: str) -> list[str]:
    """The command that runs a script; its first argument is the folder that we own."""
    return run_script(text, transport.home(), *arguments)


def rows_of(rows: Iterable[str]) -> bytes:
    """Standard input of a script."""
    return "".join(f"{row}\n" for row in rows).encode()


def _rehash(transport: Transport, there: There, items: dict[str, Item], *, write: bool) -> None:
    argv = script(scripts.REHASH, transport, "write" if write else "look")
    said = transport.check(argv, stdin=rows_of(sorted(there.doubtful))).stdout
    for line in said.splitlines():
        sha, digest, size = line.split()
        # Without a tool to hash with, the size must do: the blob was checked when it came.
        if int(size) == items[sha].bytes and digest in {sha, scripts.UNKNOWN}:
            there.blobs.add(sha)
        else:
            there.damaged.append(Damaged(sha, int(size)))
    there.doubtful.clear()


def _first(row: str) -> tuple[str, str]:
    first, _, rest = row.partition(" ")
    return first, rest


def _best_parts(tags: Sequence[str], rows: Sequence[str]) -> dict[str, Part]:
    """The longest part of each blob, of those that may be taken over."""
    free = {tag for tag, rest in map(_first, tags) if _may_take(tag, *_first(rest))}
    best: dict[str, Part] = {}
    for size, path in map(_first, rows):
        _, tag, *_, sha = path.split("/")  # incoming/TAG/[small/]SHA
        part = Part(tag, int(size))
        if part.bytes and tag in free and (sha not in best or best[sha].bytes < part.bytes):
            best[sha] = part
    return best


def _may_take(tag: str, state: str, owner: str) -> bool:
    """Whether what a push sent may be taken over: nobody goes on with it any more."""
    if tag in _OWN_TAGS:
        return False
    mark, _, name = owner.partition(" ")
    ours = mark == host_mark()
    return state != "alive" or (ours and (name == owner_name() or has_ended(name)))


def _free_bytes(lines: Sequence[str]) -> int | None:
    try:
        return parse_df("\n".join(lines))
    except ValueError:
        return None  # unknown: the transfer itself will tell
