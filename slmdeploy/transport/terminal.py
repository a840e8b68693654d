"""The terminal of whoever sits here: raw while a device has it, and put back after."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["lent_terminal", "raw_terminal", "window_changes", "window_size"]

ENDING = (signal.SIGTERM, signal.SIGHUP)
MEANT_FOR_CHILD = (signal.SIGINT, signal.SIGQUIT)
USUAL_SIZE = (80, 24)


@contextlib.contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Hand each key on as it is typed; the settings come back whatever happens.

    A signal that ends the process ends the block first. The main thread alone may enter.
    """
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, _leave) for number in ENDING}
    try:
        tty.setraw(descriptor)
        yield
    finally:
        _put_back(descriptor, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def lent_terminal(descriptor: int) -> Iterator[None]:
    """Leave the terminal to a child process; its settings come back whatever happens.

    The keys that interrupt are meant for the child. Their signals are not ignored, since the
    child would inherit that.
    """
    before = termios.tcgetattr(descriptor) if os.isatty(descriptor) else None
    handlers = {number: signal.signal(number, _pass_over) for number in MEANT_FOR_CHILD}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if before is not None:
            _put_back(descriptor, before)


@contextlib.contextmanager
def window_changes() -> Iterator[int]:
    """Give a descriptor that can be read whenever the window has changed its size.

    The signal only writes a byte: what has to be sent takes locks that the interrupted
    code may hold.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        with contextlib.suppress(BlockingIOError):  # full of changes that nobody read yet
            os.write(writer, b"w")

    before = signal.signal(signal.SIGWINCH, note)
    try:
        yield reader
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(reader)
        os.close(writer)


def window_size(descriptor: int) -> tuple[int, int]:
    """Columns and rows; 80 by 24 where the terminal does not say (tty_ioctl(4))."""
    try:
        packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
    except OSError:
        return USUAL_SIZE
    rows, columns, _, _ = struct.unpack("HHHH", packed)
    return columns or USUAL_SIZE[0], rows or USUAL_SIZE[1]


def _put_back(descriptor: int, settings: list[Any]) -> None:
    """Set a terminal as it was, though a child may have left it to another group."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):  # it is not ours to give, or is gone
            os.tcsetpgrp(descriptor, os.getpgrp())
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
    finally:
        signal.signal(signal.SIGTTOU, before)


def _pass_over(number: int, frame: FrameType | None) -> None:
    del number, frame


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)
