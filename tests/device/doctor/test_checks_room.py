"""The room on a board, against what would be sent there and what it would take to run."""

from __future__ import annotations

import pytest

from slmdeploy.device.doctor.asked import Asked
from slmdeploy.device.doctor.checks_room import (
    SPARE_DISK_BYTES,
    SWAPPED_BYTES,
    bytes_to_send,
    judge_disk_room,
    judge_free_memory,
    judge_home,
    judge_swap,
    judge_total_memory,
)
from slmdeploy.device.doctor.places import Disk, Home, Mount, Swap
from slmdeploy.device.facts import Memory, Reading
from slmdeploy.device.types import Device
from slmdeploy.runtime.requirements import REQUIREMENTS

BOARD = Device(name="pi5-a", host="10.0.0.5", user="lab")
ASKED = Asked("bundle x", REQUIREMENTS["executorch"], files={"aa": 1000, "bb": 50})
HOME = Home("/home/lab/.slmdeploy", "/home/lab", writable=True)
GIB = 2**30


def on(kind="ext4", *options):
    return Reading(Mount("/home", kind, ("rw", *options)))


def test_a_home_folder_on_ext4_is_fine():
    assert judge_home(BOARD, Reading(HOME), on()).status == "ok"


@pytest.mark.parametrize(
    ("home", "mount", "command"),
    [
        (HOME, Reading(Mount("/home", "ext4", ("ro",))), "sudo mount -o remount,rw /home"),
        (HOME, on("ext4", "noexec"), "sudo mount -o remount,exec /home"),
        (
            Home("/root/.slmdeploy", "/root", writable=False),
            on(),
            "sudo install -d -o $(id -un) /root/.slmdeploy",
        ),
    ],
)
def test_a_home_folder_where_nothing_can_be_written_or_started(home, mount, command):
    check = judge_home(BOARD, Reading(home), mount)
    assert check.status == "fail"
    assert command in check.fix


@pytest.mark.parametrize("kind", ["vfat", "exfat", "tmpfs"])
def test_file_systems_that_only_make_do(kind):
    assert judge_home(BOARD, Reading(HOME), on(kind)).status == "warn"


def test_what_the_board_has_is_not_sent_again():
    runtime = ASKED.runtime_bytes
    assert bytes_to_send(None, ASKED) == 1050 + runtime
    there = Home("/h", "/h", writable=True, blobs=frozenset({"aa"}), folders=("executorch/1",))
    assert bytes_to_send(there, ASKED) == 50


@pytest.mark.parametrize(("spare", "status"), [(-1, "fail"), (0, "warn"), (SPARE_DISK_BYTES, "ok")])
def test_the_disk_against_what_would_be_sent(spare, status):
    free = bytes_to_send(HOME, ASKED) + spare
    check = judge_disk_room(BOARD, Reading(Disk("/", free)), Reading(HOME), ASKED)
    assert check.status == status
    assert check.fix == (None if status == "ok" else "slmdeploy devices gc pi5-a")


@pytest.mark.parametrize(
    ("available", "peak", "status"),
    [
        (4 * GIB, None, "ok"),
        (4 * GIB, 3 * GIB, "ok"),
        (4 * GIB, int(3.5 * GIB), "warn"),
        (4 * GIB, 5 * GIB, "fail"),
    ],
)
def test_free_memory_against_the_predicted_peak(available, peak, status):
    memory = Reading(Memory(8 * GIB, available))
    assert judge_free_memory(BOARD, memory, peak).status == status


@pytest.mark.parametrize(
    ("total", "limit", "status"),
    [
        (int(7.4 * GIB), 8 * GIB, "ok"),  # an Orin Nano of 8 GiB, less what firmware keeps
        (int(3.9 * GIB), 8 * GIB, "warn"),
        (int(3.9 * GIB), None, "ok"),
    ],
)
def test_the_boards_memory_against_what_the_target_counts_on(total, limit, status):
    asked = Asked("target x", REQUIREMENTS["executorch"], ram_bytes=limit)
    assert judge_total_memory(Reading(Memory(total, total)), asked).status == status


@pytest.mark.parametrize(
    ("areas", "status"),
    [
        ((), "ok"),
        ((Swap("/var/swap", GIB, SWAPPED_BYTES),), "ok"),
        ((Swap("/dev/zram0", GIB, SWAPPED_BYTES), Swap("/var/swap", GIB, 1)), "warn"),
    ],
)
def test_swap_in_use(areas, status):
    assert judge_swap(BOARD, Reading(areas)).status == status


def test_zram_is_called_so():
    check = judge_swap(BOARD, Reading((Swap("/dev/zram0", GIB, 0),)))
    assert check.value == "zram: 0 B of 1.0 GiB used"


def test_what_the_board_did_not_tell_is_unknown_with_the_reason():
    nothing = Reading(None, "it did not tell")
    for check in (
        judge_home(BOARD, nothing, nothing),
        judge_disk_room(BOARD, nothing, nothing, ASKED),
        judge_free_memory(BOARD, nothing, 1),
        judge_total_memory(nothing, ASKED),
        judge_swap(BOARD, nothing),
    ):
        assert (check.status, check.value) == ("unknown", "it did not tell")
