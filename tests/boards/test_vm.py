"""Tier C: a whole computer, whose disk forgets what was not fsynced when the power is cut."""

from __future__ import annotations

from contextlib import closing

import pytest

from slmdeploy.device.connect import connect
from tests.boards.vm_board import VmBoard

pytestmark = [pytest.mark.board, pytest.mark.slow]

WRITE_SYNCED = """
import os
with open("synced", "w") as file:
    file.write("here")
    file.flush()
    os.fsync(file.fileno())
os.fsync(os.open(".", os.O_RDONLY))
with open("unsynced", "w") as file:
    file.write("perhaps")
"""


def say(board: VmBoard, *argv: str) -> str:
    with closing(connect(board.device())) as transport:
        done = transport.run(argv)
    return (done.stdout + done.stderr).strip()


def test_it_is_a_computer_of_its_own(vm_board: VmBoard) -> None:
    assert say(vm_board, "uname", "-m") == "aarch64"
    model = say(vm_board, "cat", "/proc/device-tree/model").rstrip("\0")
    assert model == "Raspberry Pi 5 Model B Rev 1.0"
    assert "CPU part\t: 0xd0b" in say(vm_board, "cat", "/proc/cpuinfo")
    assert say(vm_board, "sh", "-c", "sudo -n id -u; vcgencmd measure_temp") == "0\ntemp=48.9'C"


def test_a_power_cut_keeps_what_was_fsynced_and_may_lose_the_rest(vm_board: VmBoard) -> None:
    boot = say(vm_board, "cat", "/proc/sys/kernel/random/boot_id")
    assert say(vm_board, "python3", "-c", WRITE_SYNCED) == ""
    vm_board.power_cycle()
    assert say(vm_board, "cat", "/proc/sys/kernel/random/boot_id") != boot
    assert say(vm_board, "cat", "synced") == "here"
    assert say(vm_board, "cat", "unsynced") != "perhaps"
    assert "recovery complete" in vm_board.root(["dmesg"])


def test_a_reboot_in_order_keeps_all(vm_board: VmBoard) -> None:
    say(vm_board, "sh", "-c", "echo kept > kept")
    vm_board.reboot()
    assert say(vm_board, "cat", "kept") == "kept"


def test_its_clock_is_its_own(vm_board: VmBoard) -> None:
    year = int(say(vm_board, "date", "+%Y"))
    vm_board.set_clock(-365 * 86400)
    assert int(say(vm_board, "date", "+%Y")) == year - 1


def test_its_disk_gets_full(vm_board: VmBoard) -> None:
    vm_board.fill_disk(leave=1 << 20)
    assert "No space left" in say(vm_board, "dd", "if=/dev/zero", "of=much", "bs=1M", "count=4")


def test_its_packets_get_lost_and_late(vm_board: VmBoard) -> None:
    vm_board.lose(5, delay="50ms")
    assert "loss 5%" in vm_board.root(["tc", "qdisc", "show", "dev", "eth0"])
    assert say(vm_board, "echo", "through") == "through"
