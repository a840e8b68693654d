"""Judge the room on a board: where files go, disk, memory, swap; pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from slmdeploy.device.doctor.asked import Asked
from slmdeploy.device.doctor.checks import on_board, unknown
from slmdeploy.device.doctor.gather import BoardFacts
from slmdeploy.device.doctor.host_checks import Check
from slmdeploy.device.doctor.places import Disk, Home, Mount, Swap
from slmdeploy.device.facts import Memory, Reading
from slmdeploy.device.types import Device
from slmdeploy.target.fit import TIGHT_SHARE
from slmdeploy.target.units import format_bytes

__all__ = [
    "SPARE_DISK_BYTES",
    "SWAPPED_BYTES",
    "USABLE_SHARE",
    "bytes_to_send",
    "judge_disk_room",
    "judge_free_memory",
    "judge_home",
    "judge_swap",
    "judge_total_memory",
    "room_checks",
]

SPARE_DISK_BYTES: Final = 256 * 2**20
"""Less than this left after a push is warned about: logs and a second version need room."""
SWAPPED_BYTES: Final = 64 * 2**20
"""More than this in swap: the board was short of memory, and may be so in the run."""
USABLE_SHARE: Final = 0.7
"""Of the memory that a board is sold with, firmware, GPU and kernel leave at least so much."""

_NO_LINKS = ("exfat", "fuseblk", "msdos", "ntfs", "ntfs3", "vfat")


def room_checks(device: Device, facts: BoardFacts, asked: Asked) -> Iterator[Check]:
    """All checks of this module, in the order of the report."""
    yield judge_home(device, facts.home, facts.mount)
    yield judge_disk_room(device, facts.disk, facts.home, asked)
    yield judge_free_memory(device, facts.memory, asked.peak_bytes)
    yield judge_total_memory(facts.memory, asked)
    yield judge_swap(device, facts.swaps)


def judge_home(device: Device, home: Reading[Home], mount: Reading[Mount]) -> Check:
    """Whether we may write and start programs where our folder is or will be."""
    if home.value is None:
        return unknown("home folder", home.reason)
    if mount.value is not None and {"ro", "noexec"} & set(mount.value.options):
        return _closed(device, home.value, mount.value)
    if not home.value.writable:
        fix = on_board(device, f"sudo install -d -o $(id -un) {shlex.quote(home.value.path)}")
        value = f"{home.value.path}: we may not write in {home.value.near}"
        return Check("home folder", "fail", value, fix)
    if mount.value and mount.value.kind in _NO_LINKS:
        value = f"on {mount.value.kind}, which has no hard links: each version is a copy"
        return Check("home folder", "warn", f"{home.value.path}: {value}", "Put it on ext4.")
    if mount.value and mount.value.kind == "tmpfs":
        value = "on tmpfs, which takes memory and is gone after a restart"
        return Check("home folder", "warn", f"{home.value.path}: {value}", "Put it on a disk.")
    return Check("home folder", "ok", home.value.path)


def _closed(device: Device, home: Home, mount: Mount) -> Check:
    """A file system on which nothing can be written or started."""
    read_only = "ro" in mount.options
    option = "rw" if read_only else "exec"
    why = "is read-only" if read_only else "starts no programs (noexec)"
    fix = on_board(device, f"sudo mount -o remount,{option} {shlex.quote(mount.point)}")
    return Check("home folder", "fail", f"{home.path}: {mount.point} {why}", fix)


def bytes_to_send(home: Home | None, asked: Asked) -> int:
    """What a push would bring at most: contents that are there already are not sent again."""
    blobs = home.blobs if home else frozenset()
    has_runtime = home is not None and home.has_runtime(asked.runtime)
    bundle = sum(size for sha256, size in asked.files.items() if sha256 not in blobs)
    return bundle + (0 if has_runtime else asked.runtime_bytes)


def judge_disk_room(
    device: Device, disk: Reading[Disk], home: Reading[Home], asked: Asked
) -> Check:
    """Free disk where our folder is, against what would be sent."""
    if disk.value is None:
        return unknown("disk", disk.reason)
    wanted = bytes_to_send(home.value, asked)
    free = disk.value.free_bytes
    value = f"{format_bytes(free)} free on {disk.value.point}, {format_bytes(wanted)} to send"
    fix = f"slmdeploy devices gc {device.name}"
    if free < wanted:
        return Check("disk", "fail", value, fix)
    if free - wanted < SPARE_DISK_BYTES:
        return Check("disk", "warn", value, fix)
    return Check("disk", "ok", value)


def judge_free_memory(device: Device, memory: Reading[Memory], peak_bytes: int | None) -> Check:
    """Memory that a new process could have, against the predicted peak."""
    if memory.value is None:
        return unknown("free memory", memory.reason)
    free = memory.value.available_bytes
    if peak_bytes is None:
        return Check("free memory", "ok", f"{format_bytes(free)} available")
    value = f"{format_bytes(free)} available, predicted peak {format_bytes(peak_bytes)}"
    fix = on_board(device, "ps -eo rss,comm --sort=-rss | head")
    if peak_bytes > free:
        return Check("free memory", "fail", value, fix)
    if peak_bytes > TIGHT_SHARE * free:
        return Check("free memory", "warn", f"tight: {value}", fix)
    return Check("free memory", "ok", value)


def judge_total_memory(memory: Reading[Memory], asked: Asked) -> Check:
    """Memory of the board, against what the target counts on."""
    if memory.value is None:
        return unknown("memory", memory.reason)
    total = memory.value.total_bytes
    value = f"{format_bytes(total)} in all"
    if asked.ram_bytes is None:
        return Check("memory", "ok", value)
    value = f"{value}, the target counts on {format_bytes(asked.ram_bytes)}"
    if total < USABLE_SHARE * asked.ram_bytes:
        gib = max(1, round(total / 2**30))
        fix = f"slmdeploy targets new {asked.target}-{gib}gib --extends {asked.target}"
        return Check("memory", "warn", value, fix if asked.target else None)
    return Check("memory", "ok", value)


def judge_swap(device: Device, swaps: Reading[tuple[Swap, ...]]) -> Check:
    """Swap in use: a run that swaps measures the disk, or the compression of zram."""
    if swaps.value is None:
        return unknown("swap", swaps.reason)
    if not swaps.value:
        return Check("swap", "ok", "none")
    used = sum(area.used_bytes for area in swaps.value)
    value = ", ".join(_area(area) for area in swaps.value)
    if used > SWAPPED_BYTES:
        # Off and on again: what still does not fit fails at once, instead of in the run.
        fix = on_board(device, "sudo sh -c 'swapoff -a && swapon -a'")
        return Check("swap", "warn", value, fix)
    return Check("swap", "ok", value)


def _area(area: Swap) -> str:
    kind = "zram" if "/zram" in area.name else area.name
    return f"{kind}: {format_bytes(area.used_bytes)} of {format_bytes(area.size_bytes)} used"
