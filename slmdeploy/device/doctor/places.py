"""Where things go on a board: its home folder, disk and swap; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slmdeploy.device.facts import parse_df
from slmdeploy.device.provision.runtimes import InstalledRuntime, parse_places
from slmdeploy.device.runs.settings_plan import Saved, parse_saved

__all__ = [
    "Disk",
    "Home",
    "Mount",
    "Swap",
    "parse_disk",
    "parse_home",
    "parse_mount",
    "parse_swaps",
]


@dataclass(frozen=True)
class Mount:
    """A mounted file system: where, of which kind, with which options."""

    point: str
    kind: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Disk:
    """Room where our folder is or will be, in bytes."""

    point: str
    free_bytes: int


@dataclass(frozen=True)
class Swap:
    """A swap area: its name, size and use in bytes."""

    name: str
    size_bytes: int
    used_bytes: int


@dataclass(frozen=True)
class Home:
    """Our folder on the board, and what is in it already.

    Attributes:
        path: The folder; need not be there yet.
        near: It, or the nearest folder above it that is there.
        writable: Whether we may write in ``near``.
        blobs: Names (sha256) of the contents that were pushed.
        folders: ``name/digest`` of the runtimes that are there.
        ready: Those that ``devices provision`` made ready.
        maybe_leased: Whether a lease is there that was not let go of; it may have ended.
        changed: Settings that are not what they were; ``None`` where all are.
    """

    path: str
    near: str
    writable: bool
    blobs: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    ready: tuple[InstalledRuntime, ...] = ()
    maybe_leased: bool = False
    changed: Saved | None = None

    def has_runtime(self, name: str) -> bool:
        """Whether a runtime is there, in whatever version."""
        return any(folder.partition("/")[0] == name for folder in self.folders)


def parse_mount(text: str, path: str) -> Mount:
    """The file system that a path lies on, from ``/proc/self/mounts``."""
    best: Mount | None = None
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two at one place the later one hides the other.
        if inside and (best is None or len(point) >= len(best.point)):
            best = Mount(point, fields[2], tuple(fields[3].split(",")))
    if best is None:
        raise ValueError(f"no mount holds {path}")
    return best


def parse_disk(text: str) -> Disk:
    """``df -Pk`` of our folder, or of the nearest above it."""
    free = parse_df(text)
    point = re.search(r"(?:\d+%|-)\s+(/.*)$", text.strip().splitlines()[1])
    return Disk(point[1] if point else "/", free)


def parse_swaps(text: str) -> tuple[Swap, ...]:
    """``/proc/swaps``; the first line names the columns."""
    areas = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or not (fields[2].isdigit() and fields[3].isdigit()):
            raise ValueError(f"/proc/swaps says {line!r}")
        areas.append(Swap(fields[0], int(fields[2]) * 1024, int(fields[3]) * 1024))
    return tuple(areas)


def parse_home(text: str) -> Home:
    """Our folder, whether it can be written, and the names of what lies in it."""
    rows = [line.partition(" ")[::2] for line in text.splitlines()]
    said = dict(rows)
    near = said.get("writable", said.get("read-only"))
    if "ours" not in said or near is None:
        raise ValueError(f"nothing of a home folder in {text!r}")
    places = parse_places(text, said["ours"])
    return Home(
        said["ours"],
        near,
        writable="writable" in said,
        blobs=frozenset(name for kind, name in rows if kind == "blob"),
        folders=places.folders,
        ready=places.ready,
        maybe_leased=any(kind == "lease" for kind, _ in rows),
        changed=parse_saved(value for kind, value in rows if kind == "saved"),
    )
