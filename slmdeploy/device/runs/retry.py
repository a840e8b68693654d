"""Try again when a device is away for a moment, and only then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from slmdeploy.errors import ConnectError

__all__ = ["AWAY_SECONDS", "Patience", "retried"]

AWAY_SECONDS = 120.0
"""How long a device may be away in the middle of a run before it is given up."""

FIRST_SECONDS, LONGEST_SECONDS = 0.25, 5.0

T = TypeVar("T")


class Patience:
    """Waits longer after each failure in a row, up to a limit.

    Args:
        seconds: How long a device may be away in all, from the first failure on.
        sleep: Waits so many seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._sleep = sleep
        self._clock = clock
        self._since: float | None = None
        self._pause = FIRST_SECONDS

    def renew(self) -> None:
        """The device answered: forget the failures."""
        self._since, self._pause = None, FIRST_SECONDS

    def wait(self, error: ConnectError) -> None:
        """Wait before the next try.

        Args:
            error: Why the last one failed.

        Raises:
            ConnectError: The error that was given: the device is away for too long.
        """
        now = self._clock()
        if self._since is None:
            self._since = now
        if now + self._pause - self._since > self.seconds:
            raise error
        self._sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_SECONDS)


def retried(work: Callable[[], T], patience: Patience) -> T:
    """Do something that may be done twice, again after each lost connection.

    A host key or a login that was refused is never tried again: these are other errors.

    Raises:
        ConnectError: The device is away for longer than ``patience`` allows.
    """
    while True:
        try:
            done = work()
        except ConnectError as error:
            patience.wait(error)
        else:
            patience.renew()
            return done
