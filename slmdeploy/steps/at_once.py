"""Do one thing on several devices at once; one that is dead neither stops nor hides another."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from slmdeploy.errors import SlmdeployError
from slmdeploy.progress import Progress, Step, silent
from slmdeploy.steps.outcomes import Attempt

if TYPE_CHECKING:
    from slmdeploy.device.types import Device

__all__ = ["MOST_AT_ONCE", "at_once", "in_turn", "on_each", "told_by"]

MOST_AT_ONCE = 32
"""Devices; further ones wait until one is done."""
STOP_SECONDS = 10.0
"""How long, after Ctrl-C, devices get to put back what was changed on them."""

T = TypeVar("T")
U = TypeVar("U")


def at_once(
    selectors: Sequence[str],
    work: Callable[[Device, Progress], T],
    progress: Progress = silent,
    then: Callable[[T], Any] | None = None,
) -> tuple[Attempt[Any], ...]:
    """Do a step on all devices that are selected, as ``on_each`` does.

    Args:
        selectors: As ``--device`` takes them.
        work: Is given a device, and whom to tell of it.
        progress: Is told what is done, and on which device.
        then: Done with what ``work`` gave, in this thread, one by one.
    """
    from slmdeploy.device.lab.inventory import load_inventory

    chosen = load_inventory().select(selectors)
    return on_each(
        chosen,
        lambda device: work(device, told_by(device, chosen, progress)),
        then or (lambda value: value),
    )


def on_each(
    devices: Sequence[Device],
    work: Callable[[Device], T],
    then: Callable[[T], U],
) -> tuple[Attempt[U], ...]:
    """Do something on each device; boards at once, this computer by itself at the end.

    What this computer does for the boards would disturb what is measured on it.

    Args:
        devices: Which; the attempts come in their order.
        work: Done in a thread of its own where there are several boards.
        then: Done with what it gave, in this thread, one after the other, as they end.

    Raises:
        KeyboardInterrupt: Ctrl-C; what runs is told so and gets some seconds to end.
        Exception: Whatever a device raised that is no ``SlmdeployError``: a bug. The
            others are done first.
    """
    from slmdeploy.device.lab.inventory import LOCAL

    boards = [device for device in devices if device.transport != LOCAL.transport]
    ended: dict[int, Attempt[U]] = {}
    if len(boards) > 1:
        _in_threads(boards, work, then, ended)
    for device in devices:
        if id(device) not in ended:
            ended[id(device)] = _attempt(device.name, lambda device=device: then(work(device)))  # type: ignore[misc]
    return tuple(ended[id(device)] for device in devices)


def in_turn(items: Iterable[T], work: Callable[[T], U]) -> tuple[Attempt[U], ...]:
    """Do a step for one target or file after the other; each is named by its text."""
    return tuple(_attempt(str(item), partial(work, item)) for item in items)


def told_by(device: Device, devices: Sequence[Device], progress: Progress) -> Progress:
    """Give the steps of a device a name of their own, where there are several devices."""
    if len(devices) < 2:
        return progress

    def tell(step: Step, /) -> None:
        named = step.name if device.name in step.name else f"{device.name}: {step.name}"
        progress(dataclasses.replace(step, name=named))

    return tell


def _attempt(subject: str, work: Callable[[], U]) -> Attempt[U]:
    """What a step gives, or its error: none hides what the others gave."""
    try:
        return Attempt(subject, work())
    except SlmdeployError as error:
        return Attempt[U](subject, None, error)


def _in_threads(
    devices: Sequence[Device],
    work: Callable[[Device], T],
    then: Callable[[T], U],
    ended: dict[int, Attempt[U]],
) -> None:
    waiting = list(reversed(devices))
    results: queue.SimpleQueue[tuple[Device, Callable[[], T]]] = queue.SimpleQueue()
    threads: list[threading.Thread] = []
    bug: BaseException | None = None

    def start() -> None:
        # Daemons: a device that hangs must not keep the program from ending.
        thread = threading.Thread(
            target=_run, args=(waiting.pop(), work, results), daemon=True, name="slmdeploy-device"
        )
        threads.append(thread)
        thread.start()

    try:
        while waiting and len(threads) < MOST_AT_ONCE:
            start()
        for _ in devices:
            device, result = _next(results)
            try:
                ended[id(device)] = _attempt(device.name, lambda result=result: then(result()))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  raised when the others are done
                bug = bug or error
            if waiting:
                start()
    except KeyboardInterrupt:
        _interrupt(threads)
        raise
    if bug is not None:
        raise bug


def _next(results: queue.SimpleQueue[Any]) -> Any:
    """Wait in short turns: a wait without an end does not see Ctrl-C everywhere."""
    while True:
        try:
            return results.get(timeout=1.0)
        except queue.Empty:
            continue


def _run(
    device: Device,
    work: Callable[[Device], T],
    results: queue.SimpleQueue[tuple[Device, Callable[[], T]]],
) -> None:
    try:
        value = work(device)
    except BaseException as error:  # noqa: BLE001  it is raised where the results are taken
        caught = error

        def fail() -> T:
            raise caught

        results.put((device, fail))
    else:
        results.put((device, lambda: value))


def _interrupt(threads: Sequence[threading.Thread]) -> None:
    """Raise ``KeyboardInterrupt`` in threads, so that their ``finally`` blocks are run.

    CPython delivers it when a thread next runs Python code; one that waits in the system
    sees it when that wait is over.
    """
    import ctypes

    for thread in threads:
        if thread.is_alive() and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
            )
    deadline = time.monotonic() + STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
