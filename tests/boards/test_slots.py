"""Places for boards: one owner each, and cleared when the owner is gone."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards.places import RUN_VARIABLE
from tests.boards.slots import SLOTS, Slot, clear_leftovers, take_slot, taken_slots

ROOT = Path(__file__).resolve().parent.parent.parent
TAKE = """
import sys
from tests.boards.slots import take_slot
slot = take_slot()
(slot.folder / "left").write_text("behind")
print(slot.number, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _folder_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path))


def test_places_are_taken_in_order_and_given_back() -> None:
    one, two = take_slot(), take_slot()
    assert [one.number, two.number, taken_slots()] == [0, 1, [0, 1]]
    one.release()
    again = take_slot()
    assert again.number == 0
    for slot in (two, again):
        slot.release()
    assert taken_slots() == []


def test_no_two_boards_share_an_address_or_a_name() -> None:
    slots = [Slot(number, -1) for number in range(SLOTS)]
    addresses = {name for slot in slots for name in (slot.address, slot.gateway)}
    assert len(addresses) == 2 * SLOTS
    network = ipaddress.ip_network("198.18.0.0/15")
    assert all(ipaddress.ip_address(address) in network for address in addresses)
    assert len({slot.mac for slot in slots}) == SLOTS
    assert max(len(slot.bridge) for slot in slots) <= 15


def test_what_a_killed_owner_left_behind_is_cleared(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", TAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        number = owner.stdout.readline().strip()
        left = tmp_path / number / "left"
        clear_leftovers()
        assert left.read_text() == "behind"
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    clear_leftovers()
    assert not left.exists()
