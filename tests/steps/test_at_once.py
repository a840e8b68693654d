"""Several devices at once: none stops or hides another, and one thread takes the results."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from slmdeploy.device.types import Device
from slmdeploy.errors import ConnectError
from slmdeploy.progress import Step
from slmdeploy.steps.at_once import on_each, told_by

LOCAL = Device("local", transport="local")
BOARDS = [Device(f"board-{name}", host="x") for name in "abc"]
SECONDS = 20.0


def test_boards_are_worked_on_at_the_same_time():
    all_there = threading.Barrier(len(BOARDS), timeout=SECONDS)
    done = on_each(BOARDS, lambda _: all_there.wait() >= 0, lambda value: value)
    assert [(one.subject, one.value) for one in done] == [(d.name, True) for d in BOARDS]


def test_a_dead_board_does_not_hide_the_others():
    def work(device: Device) -> str:
        if device.name == "board-b":
            raise ConnectError("away")
        return device.name

    done = on_each(BOARDS, work, str.upper)
    assert [one.value for one in done] == ["BOARD-A", None, "BOARD-C"]
    assert isinstance(done[1].error, ConnectError)


def test_a_board_that_hangs_does_not_hold_up_the_others():
    """What the others gave is there, and taken, while one still hangs."""
    others_taken = threading.Semaphore(0)

    def work(device: Device) -> str:
        if device.name == "board-a":
            assert others_taken.acquire(timeout=SECONDS)
            assert others_taken.acquire(timeout=SECONDS)
        return device.name

    def then(value: str) -> str:
        others_taken.release()
        return value

    assert [one.value for one in on_each(BOARDS, work, then)] == [d.name for d in BOARDS]


def test_results_are_taken_in_one_thread():
    threads = set()
    on_each(BOARDS, lambda _: threads.add(threading.get_ident()), lambda _: threads.clear())
    done = on_each(BOARDS, lambda device: device, lambda _: threading.get_ident())
    assert {one.value for one in done} == {threading.get_ident()}


def test_this_computer_comes_last_and_alone():
    order = []
    on_each([LOCAL, *BOARDS], lambda device: order.append(device.name), lambda value: value)
    assert order[-1] == "local"


def test_one_device_is_done_in_this_thread():
    (done,) = on_each([BOARDS[0]], lambda _: threading.get_ident(), lambda value: value)
    assert done.value == threading.get_ident()


def test_a_bug_is_raised_when_the_others_are_done():
    finished = []

    def work(device: Device) -> None:
        if device.name == "board-a":
            raise ZeroDivisionError
        finished.append(device.name)

    with pytest.raises(ZeroDivisionError):
        on_each(BOARDS, work, lambda value: value)
    assert sorted(finished) == ["board-b", "board-c"]


INTERRUPTED = r"""
import os
import threading
from slmdeploy.device.types import Device
from slmdeploy.steps.at_once import on_each
ready = threading.Barrier(3)
def work(device):
    try:
        ready.wait()
        if device.name == "a":
            print("working", flush=True)
        while True:
            threading.Event().wait(0.05)
    finally:
        os.write(1, f"put back {device.name}\n".encode())  # one write: lines stay whole
try:
    on_each([Device(name, host="x") for name in "abc"], work, lambda value: value)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_after_ctrl_c_each_device_is_put_in_order():
    argv = [sys.executable, "-c", INTERRUPTED]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "working\n"
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=SECONDS)
    *each, last = said.splitlines()
    assert sorted(each) == ["put back a", "put back b", "put back c"]
    assert last == "interrupted"


def test_steps_of_several_devices_have_their_names():
    steps: list[Step] = []
    told_by(BOARDS[0], BOARDS, steps.append)(Step("measure"))
    told_by(BOARDS[0], BOARDS, steps.append)(Step("push to board-a"))
    told_by(BOARDS[0], BOARDS[:1], steps.append)(Step("measure"))
    assert [step.name for step in steps] == ["board-a: measure", "push to board-a", "measure"]
