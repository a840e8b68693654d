"""Who and what is busy on a board: its holder, its runs, settings that are changed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from slmdeploy.device.connect import connect
from slmdeploy.device.runs.jobs import FoundJob, find_jobs
from slmdeploy.device.runs.lease import Holder, leased, read_holder
from slmdeploy.device.runs.settings import read_saved, restore_settings
from slmdeploy.device.runs.settings_plan import Saved
from slmdeploy.device.types import Device
from slmdeploy.errors import UnknownNameError

__all__ = ["Occupancy", "put_settings_back", "read_occupancy", "stop_run"]


@dataclass(frozen=True)
class Occupancy:
    """What is going on on a board.

    Attributes:
        holder: Who measures there; ``None`` for nobody.
        saved: Settings that are changed; ``None`` for none.
        jobs: Runs that are there, those that are over too.
    """

    holder: Holder | None
    saved: Saved | None
    jobs: tuple[FoundJob, ...]


def read_occupancy(device: Device) -> Occupancy:
    """Ask a device what is going on there.

    Raises:
        DeviceError: It is away.
    """
    with closing(connect(device)) as transport:
        return Occupancy(read_holder(transport), read_saved(transport), find_jobs(transport))


def stop_run(device: Device, job_id: str) -> None:
    """End a run and all of its group; its folder stays.

    Raises:
        UnknownNameError: There is no such run.
        DeviceError: It cannot be ended, or the device is away.
    """
    with closing(connect(device)) as transport:
        found = {one.job.id: one.job for one in find_jobs(transport)}
        if job_id not in found:
            raise UnknownNameError("run", job_id, found)
        found[job_id].stop()


def put_settings_back(device: Device, *, steal: bool = False) -> tuple[str, ...]:
    """Put back the settings that were left changed; gives a line for each.

    Raises:
        DeviceError: Somebody measures there, something cannot be put back, or the device
            is away.
    """
    with closing(connect(device)) as transport, leased(transport, steal=steal):
        return restore_settings(transport)
