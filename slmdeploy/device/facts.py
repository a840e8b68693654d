"""Facts about a board: a command and a pure parser each, tested by recorded output."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from slmdeploy.transport.base import Transport

__all__ = [
    "ARCHITECTURE",
    "BOARD_MODEL",
    "CPU",
    "GLIBC",
    "KERNEL",
    "MEMORY",
    "Cpu",
    "Fact",
    "Memory",
    "Reading",
    "disk_free",
    "parse_board_model",
    "parse_cpu",
    "parse_df",
    "parse_glibc",
    "parse_line",
    "parse_memory",
    "read_fact",
]

T = TypeVar("T")

# "CPU part" of implementer 0x41 (Arm) in /proc/cpuinfo, from the MIDR_EL1 values in Arm's
# technical reference manuals.
ARM_PARTS = {
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
}


@dataclass(frozen=True)
class Fact(Generic[T]):
    """How something is learned of a board.

    Attributes:
        name: What it is, for messages.
        argv: The command that tells it.
        parse: From its standard output to the value; ``ValueError`` says why not.
    """

    name: str
    argv: tuple[str, ...]
    parse: Callable[[str], T]


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A value, or ``None`` and the reason why there is none."""

    value: T | None
    reason: str | None = None


@dataclass(frozen=True)
class Cpu:
    """The processor, from ``/proc/cpuinfo``.

    Attributes:
        count: Logical processors that are online.
        model: Its name; of several kinds (big and little) all, joined by `` + ``;
            ``None`` if the kernel tells none that we know.
        features: What it can do, in the kernel's words (``asimddp``, ``avx2``), sorted.
    """

    count: int
    model: str | None
    features: tuple[str, ...]


@dataclass(frozen=True)
class Memory:
    """Main memory, in bytes: in all, and what a new process could have."""

    total_bytes: int
    available_bytes: int


def read_fact(transport: Transport, fact: Fact[T], *, timeout: float = 20.0) -> Reading[T]:
    """Ask a device for a fact.

    Args:
        transport: The way to the device.
        fact: What to ask for.
        timeout: Seconds that the command may take.

    Raises:
        ConnectError: The device is away.
    """
    result = transport.run(fact.argv, timeout=timeout)
    if result.code != 0:
        said = result.stderr.strip().splitlines()[-1:] or [f"it ended with code {result.code}"]
        return Reading(None, f"{' '.join(fact.argv)}: {said[0]}")
    try:
        return Reading(fact.parse(result.stdout))
    except ValueError as error:
        return Reading(None, str(error))


def parse_line(text: str) -> str:
    """The one line that a command prints."""
    line = text.strip()
    if not line or "\n" in line:
        raise ValueError(f"one line was expected, not {text!r}")
    return line


def parse_board_model(text: str) -> str:
    """``/proc/device-tree/model``, which ends in a NUL."""
    return parse_line(text.replace("\0", ""))


def parse_glibc(text: str) -> tuple[int, int]:
    """Major and minor version, from ``getconf GNU_LIBC_VERSION`` or ``ldd --version``."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    if "musl" in first:
        raise ValueError("the board has musl, not glibc")
    found = re.fullmatch(r"(?:glibc|ldd \(.*\)) (\d+)\.(\d+)", first.strip())
    if not found:
        raise ValueError(f"no glibc version in {first!r}")
    return int(found[1]), int(found[2])


def parse_df(text: str) -> int:
    """Bytes that a user may still write, from ``df -Pk`` of one path."""
    rows = text.strip().splitlines()[1:]
    # The name of a file system may hold blanks, so the row is read from its numbers on.
    found = re.search(r"\s\d+\s+-?\d+\s+(-?\d+)\s+(?:\d+%|-)\s+/", rows[0]) if rows else None
    if not found:
        raise ValueError(f"no free space in {text!r}")
    return max(0, int(found[1])) * 1024


def parse_memory(text: str) -> Memory:
    """``/proc/meminfo``."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", text, flags=re.MULTILINE))
    try:
        return Memory(int(found["MemTotal"]) * 1024, int(found["MemAvailable"]) * 1024)
    except KeyError as error:
        raise ValueError(f"/proc/meminfo has no {error.args[0]}") from error


def parse_cpu(text: str) -> Cpu:
    """``/proc/cpuinfo`` of x86 or Arm."""
    pairs = [
        (key.strip(), value.strip())
        for key, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    ]
    count = sum(key == "processor" for key, _ in pairs)
    if count == 0:
        raise ValueError("/proc/cpuinfo lists no processor")
    names = [value for key, value in pairs if key == "model name"] or _arm_names(pairs)
    features = {
        word for key, value in pairs if key in {"flags", "Features"} for word in value.split()
    }
    return Cpu(count, " + ".join(dict.fromkeys(names)) or None, tuple(sorted(features)))


def _arm_names(pairs: list[tuple[str, str]]) -> list[str]:
    names = []
    implementer = ""
    for key, value in pairs:
        if key == "CPU implementer":
            implementer = value
        elif key == "CPU part":
            known = ARM_PARTS.get(int(value, 16)) if implementer == "0x41" else None
            names.append(known or f"implementer {implementer} part {value}")
    return names


def disk_free(path: str) -> Fact[int]:
    """Bytes that are free where a path lies; the path must exist."""
    return Fact("free disk", ("df", "-Pk", path), parse_df)


ARCHITECTURE = Fact("architecture", ("uname", "-m"), parse_line)
KERNEL = Fact("kernel", ("uname", "-r"), parse_line)
GLIBC = Fact(
    "glibc",
    ("sh", "-c", "getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 || :"),
    parse_glibc,
)
MEMORY = Fact("memory", ("cat", "/proc/meminfo"), parse_memory)
CPU = Fact("processor", ("cat", "/proc/cpuinfo"), parse_cpu)
BOARD_MODEL = Fact("board", ("cat", "/proc/device-tree/model"), parse_board_model)
