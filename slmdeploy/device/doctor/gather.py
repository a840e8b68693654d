"""All that the doctor knows of a board, read in two commands at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from slmdeploy.device.doctor.boards import (
    parse_board_kind,
    parse_l4t,
    parse_os_name,
    parse_slow_down,
)
from slmdeploy.device.doctor.busy import Process, parse_busy
from slmdeploy.device.doctor.parsers import (
    Library,
    Python,
    System,
    parse_clock,
    parse_files,
    parse_getconf,
    parse_library,
    parse_page_bytes,
    parse_python,
    parse_system,
    parse_tools,
    parse_userland_bits,
)
from slmdeploy.device.doctor.places import (
    Disk,
    Home,
    Mount,
    Swap,
    parse_disk,
    parse_home,
    parse_mount,
    parse_swaps,
)
from slmdeploy.device.doctor.script import READ, split_sections
from slmdeploy.device.facts import (
    Cpu,
    Memory,
    Reading,
    parse_board_model,
    parse_cpu,
    parse_memory,
)
from slmdeploy.device.probes.reading import read_probes
from slmdeploy.device.probes.types import Measured
from slmdeploy.errors import CommandError
from slmdeploy.transport.base import Transport

__all__ = ["BoardFacts", "ClockSkew", "facts_of", "read_board", "skew_of"]

T = TypeVar("T")

PROBES = ("clocks", "governor", "mode", "temperature", "throttle")
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ClockSkew:
    """How far the board's clock is ahead of this computer's, as bounds in seconds.

    The command's way there and back lies between the bounds.
    """

    least: float
    most: float

    @property
    def sure(self) -> float:
        """The part that is certain: 0 where the bounds allow for none."""
        if self.least > 0:
            return self.least
        return min(self.most, 0.0)


@dataclass(frozen=True)
class BoardFacts:
    """What was found on a board; where nothing was, the reason."""

    skew: Reading[ClockSkew]
    system: Reading[System]
    userland_bits: Reading[int]
    glibc: Reading[tuple[int, int]]
    libstdcxx: Reading[Library]
    page_bytes: Reading[int]
    python: Reading[Python]
    cpu: Reading[Cpu]
    memory: Reading[Memory]
    swaps: Reading[tuple[Swap, ...]]
    model: Reading[str]
    kind: Reading[str]
    os_name: Reading[str]
    l4t: Reading[tuple[int, str]]
    slow_down_c: Reading[float]
    home: Reading[Home]
    mount: Reading[Mount]
    disk: Reading[Disk]
    tools: Reading[frozenset[str]]
    busy: Reading[tuple[Process, ...]]
    sudo: Reading[bool]
    sensors: tuple[Measured, ...] = ()


def read_board(transport: Transport, *, home: str = "") -> BoardFacts:
    """Ask a board for everything, sensors and the rest at the same time.

    Args:
        transport: The way there.
        home: Our folder there; by default ``.slmdeploy`` in the user's home folder.

    Raises:
        ConnectError: It went away.
        CommandError: It has no shell that runs the scripts, or did not answer in time.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        sensors = pool.submit(read_probes, transport, PROBES)
        before = time.time()
        said = transport.run(["sh", "-c", READ, "sh", home], timeout=_TIMEOUT_S)
        after = time.time()
        if "== clock" not in said.stdout:
            raise CommandError(["sh"], said.code, said.stderr or said.stdout)
        try:
            measured = sensors.result()
        except CommandError:
            measured = ()
    return facts_of(said.stdout, before, after, measured)


def facts_of(
    text: str, before: float, after: float, sensors: tuple[Measured, ...] = ()
) -> BoardFacts:
    """The facts in what the script said.

    Args:
        text: Its output.
        before: When it was sent off, in seconds since 1970 by this computer.
        after: When its end was here.
        sensors: What the probes said.
    """
    said = split_sections(text)
    files = parse_files(said.get("files", ""))
    getconf = said.get("getconf", "")
    home = _read(parse_home, said.get("home"))
    near = home.value.near if home.value else "/"
    model = _read(parse_board_model, _tree(files, "model"))
    return BoardFacts(
        skew=_skew(said, before, after),
        system=_read(parse_system, said.get("system")),
        userland_bits=_read(parse_userland_bits, getconf),
        glibc=_read(parse_getconf, getconf),
        libstdcxx=_read(parse_library, said.get("libstdcxx")),
        page_bytes=_read(partial(parse_page_bytes, getconf), said.get("pages")),
        python=_read(parse_python, said.get("python")),
        cpu=_read(parse_cpu, files.get("/proc/cpuinfo")),
        memory=_read(parse_memory, files.get("/proc/meminfo")),
        swaps=_read(parse_swaps, files.get("/proc/swaps")),
        model=model,
        kind=_kind(_tree(files, "compatible") or "", model),
        os_name=_read(parse_os_name, files.get("/etc/os-release")),
        l4t=_read(parse_l4t, files.get("/etc/nv_tegra_release")),
        slow_down_c=_read(lambda _: parse_slow_down(files), ""),
        home=home,
        mount=_read(lambda rows: parse_mount(rows, near), files.get("/proc/self/mounts")),
        disk=_read(parse_disk, said.get("disk")),
        tools=_read(parse_tools, said.get("tools")),
        busy=_busy(said),
        sudo=_sudo(said.get("sudo")),
        sensors=sensors,
    )


def skew_of(
    first: tuple[float, float], last: tuple[float, float], before: float, after: float
) -> ClockSkew:
    """Bounds of the skew, from two looks at the board's clock within one command.

    What the board read first, it read after ``before``; what it read last, it read before
    ``after``. So the skew is at most ``first - before``, and at least ``last - after``.
    """
    return ClockSkew(last[0] - after, first[1] - before)


def _read(parse: Callable[[str], T], text: str | None) -> Reading[T]:
    if text is None:
        return Reading(None, "the board did not tell")
    try:
        return Reading(parse(text))
    except ValueError as error:
        return Reading(None, str(error))


def _tree(files: Mapping[str, str], name: str) -> str | None:
    """A file of the device tree; the first path is a link to the second on real boards."""
    paths = (f"/proc/device-tree/{name}", f"/sys/firmware/devicetree/base/{name}")
    return next((files[path] for path in paths if path in files), None)


def _skew(said: Mapping[str, str], before: float, after: float) -> Reading[ClockSkew]:
    try:
        first, last = parse_clock(said.get("clock", "")), parse_clock(said.get("done", ""))
    except ValueError as error:
        return Reading(None, str(error))
    return Reading(skew_of(first, last, before, after))


def _kind(compatible: str, model: Reading[str]) -> Reading[str]:
    kind = parse_board_kind(compatible, model.value or "")
    if kind is not None:
        return Reading(kind)
    if model.value is None and not compatible:
        return Reading(None, "it has no device tree")
    named = model.value or compatible.split(maxsplit=1)[0]
    return Reading(None, f"no board that slmdeploy knows: {named}")


def _busy(said: Mapping[str, str]) -> Reading[tuple[Process, ...]]:
    before, after = said.get("processes", ""), said.get("later", "")
    return _read(lambda our: parse_busy(before, after, our), said.get("self"))


def _sudo(text: str | None) -> Reading[bool]:
    word = (text or "").strip()
    if not word.isdigit():
        return Reading(None, "sudo is not installed" if word == "none" else "it was not tried")
    return Reading(word == "0")
