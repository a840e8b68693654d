"""Data that streams into a command on a device, through the standard input of ``adb shell``."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from slmdeploy.errors import ConnectError
from slmdeploy.transport.adb.process import AdbProcess
from slmdeploy.transport.adb.program import Program
from slmdeploy.transport.base import Block, Result
from slmdeploy.transport.process import Deadline, collected

__all__ = ["SILENCE_SECONDS", "pour"]

SILENCE_SECONDS = 120.0
"""How long a device may take nothing."""


def pour(program: Program, argv: Sequence[str], blocks: Iterable[Block]) -> Result:
    """As ``Pours.pour``.

    Raises:
        ConnectError: The device went away, or took nothing for a long time.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        process = AdbProcess(program, argv, reading, None)
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    # What the command says is read by another thread, so that neither waits for the other.
    with ThreadPoolExecutor(1, thread_name_prefix="slmdeploy-adb") as pool:
        result = pool.submit(collected, process, Deadline(None))
        try:
            try:
                _pump(writing, blocks, program.where)
            finally:
                os.close(writing)
            return result.result()
        finally:
            process.stop()


def _pump(writing: int, blocks: Iterable[Block], where: str) -> None:
    """Write all blocks; come back early if nobody reads on."""
    for block in blocks:
        view = memoryview(block)
        while view:
            if not select.select([], [writing], [], SILENCE_SECONDS)[1]:
                raise ConnectError(
                    f"{where} took no data for {SILENCE_SECONDS:.0f} s.",
                    hint="Is its disk busy? The same command goes on where this one stopped.",
                )
            try:
                view = view[os.write(writing, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return  # how it ended is told by its exit status
