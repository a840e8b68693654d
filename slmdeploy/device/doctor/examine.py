"""Examine a board: will this bundle run there, and will its figures mean anything."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.device.connect import connect
from slmdeploy.device.doctor.asked import Asked, needs_of
from slmdeploy.device.doctor.checks import access_checks, judge_board, lost_checks
from slmdeploy.device.doctor.checks_room import room_checks
from slmdeploy.device.doctor.checks_state import state_checks
from slmdeploy.device.doctor.checks_system import system_checks
from slmdeploy.device.doctor.gather import read_board
from slmdeploy.device.doctor.host_checks import Check
from slmdeploy.device.facts import Reading
from slmdeploy.device.runs.lease import read_holder
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError
from slmdeploy.transport.base import Transport

__all__ = ["Diagnosis", "examine"]

# Those that every board has, for the report of one that could not be looked at.
_LATER = (
    *("clock", "tools", "file transfer", "sudo", "board", "system", "architecture"),
    *("processor", "cpu features", "glibc", "libstdc++", "python", "page size", "runtimes"),
    *("home folder", "disk", "free memory", "memory", "swap"),
    *("governor", "clock limit", "temperature", "throttling", "power supply", "other processes"),
    *("lease", "settings"),
)


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says of a board.

    Attributes:
        device: Its name.
        against: What it was held against.
        ok: Whether no check failed.
        checks: In the order of the report.
    """

    device: str
    against: str
    ok: bool
    checks: tuple[Check, ...]


def examine(device: Device, asked: Asked) -> Diagnosis:
    """Look at a board; changes nothing there and sends nothing.

    A board that is away or does not let us in is a finding as well, and no error.

    Args:
        device: As the inventory knows it.
        asked: What it must carry.

    Raises:
        UnknownNameError: Its transport is not installed.
    """
    try:
        with closing(connect(device)) as transport:
            checks = tuple(_looked_at(device, transport, asked))
    except DeviceError as error:
        checks = lost_checks(device, error, _LATER)
    ok = all(check.status != "fail" for check in checks)
    return Diagnosis(device.name, asked.name, ok, checks)


def _looked_at(device: Device, transport: Transport, asked: Asked) -> Iterator[Check]:
    # Over SSH the folder is asked for by the script itself, which saves a round trip.
    home = "" if device.transport == "ssh" else transport.home()
    with ThreadPoolExecutor(max_workers=1) as pool:
        files_server = pool.submit(_takes_files, device, transport)
        facts = read_board(transport, home=home)
        answered = files_server.result()
    machine = facts.system.value.machine if facts.system.value else platform.machine()
    yield from access_checks(device, facts, files_server=answered)
    yield judge_board(device, facts.kind, facts.model.value, asked.board)
    yield from system_checks(device, facts, asked, needs_of(asked, machine), platform.machine())
    yield from room_checks(device, facts, asked)
    # Asked only where a lease lies about: it costs another round trip.
    leased = facts.home.value is not None and facts.home.value.maybe_leased
    holder = read_holder(transport) if leased else None
    yield from state_checks(device, facts, asked.bundle, holder)


def _takes_files(device: Device, transport: Transport) -> Reading[bool]:
    """Whether a file can be fetched from it: an empty one, by the way that push takes."""
    if device.transport != "ssh":
        return Reading(value=True)
    with tempfile.TemporaryDirectory(prefix="slmdeploy-doctor-") as folder:
        try:
            transport.get("/dev/null", Path(folder) / "nothing")
        except DeviceError as error:
            return Reading(value=False, reason=error.message)
    return Reading(value=True)
