"""One measurement at a time on a board: a lease that the board itself holds.

It lies in ``lease/`` below our folder there, and ends by itself: the host gives a sign of
life while it lives, and a run that goes on holds it where the host is gone. A restart of
the board ends it. Times are seconds of the board's uptime: clocks of boards are wrong.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from slmdeploy.device.runs import lease_scripts as scripts
from slmdeploy.device.runs.jobs import Job
from slmdeploy.device.runs.owner import command_name, has_ended, host_mark, owner_name
from slmdeploy.device.runs.retry import Patience, retried
from slmdeploy.device.script import fields_of, script
from slmdeploy.errors import DeviceError
from slmdeploy.transport.base import Transport

__all__ = ["TTL_SECONDS", "Holder", "Lease", "leased", "read_holder"]

TTL_SECONDS = 60
BEATS = 4
"""Signs of life in the time that a lease lasts without one."""

RETRY_SECONDS, FRESH_SECONDS, JOIN_SECONDS = 20.0, 1.0, 5.0


@dataclass(frozen=True)
class Holder:
    """Who holds a board.

    Attributes:
        owner: User, host and process, as in ``lab@bench-3 (process 4711)``.
        command: For what.
        age_s: Seconds since it was taken.
        left_s: Seconds until it ends without a further sign of life.
        run: A run of the owner that goes on, and holds it as long; else ``None``.
        token: What the owner knows it by.
    """

    owner: str
    command: str
    age_s: int
    left_s: int
    run: str | None
    token: str

    @property
    def until(self) -> str:
        """When the board is free again, for people."""
        if self.run is not None:
            return f"when its run {self.run} ends"
        return f"in {max(self.left_s, 0)} s, if they give no sign of life"

    def __str__(self) -> str:
        since = f"{self.owner}, for {_span(self.age_s)}, with {self.command!r}"
        return f"{since}; it is free {self.until}"


class Lease:
    """A lease that we hold.

    Args:
        transport: The way to the device.
        number: Its number there.
        token: What we know it by.
        taken_from: Whom it was stolen from; else ``None``.
        ttl_s: Seconds that it lasts without a sign of life.
    """

    def __init__(
        self,
        transport: Transport,
        number: int,
        token: str,
        taken_from: Holder | None,
        ttl_s: int = TTL_SECONDS,
    ) -> None:
        self.transport = transport
        self.number = number
        self.token = token
        self.taken_from = taken_from
        self._ttl_s = ttl_s
        self._seen = time.monotonic()
        self._quiet = 0
        self._over = threading.Event()

    @property
    def ends(self) -> tuple[str, str]:
        """Paths on the board of which one is there as soon as it is not ours any more."""
        folder = f"{self.transport.home()}/lease"
        return f"{folder}/{self.number}.over", f"{folder}/{self.number + 1}"

    @property
    def fresh(self) -> bool:
        """Whether it was ours a moment ago: between two runs nobody needs to ask again."""
        return time.monotonic() - self._seen < FRESH_SECONDS

    def renew(self) -> None:
        """Give a sign of life.

        Raises:
            DeviceError: Somebody has stolen it, or the board was restarted.
        """
        home, name = self.transport.home(), self.transport.name
        argv = script(scripts.BEAT, f"{home}/lease", f"{home}/runs", str(self.number), self.token)
        told = self.transport.check(argv).stdout
        if told.split() == ["ours"]:
            self._seen = time.monotonic()
            return
        now = _holder(told)
        if now is None:
            raise DeviceError(
                f"{name} is not ours any more: it was restarted, or we were away for long."
            )
        raise DeviceError(
            f"{name} was taken from us by {now.owner} {_span(now.age_s)} ago ({now.command!r}).",
            hint="What was measured since then was disturbed.",
        )

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """No signs of life meanwhile: a run holds the lease, and nothing disturbs it."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def release(self) -> None:
        """Let go of it; does nothing if it is not ours any more."""
        self._over.set()
        folder = f"{self.transport.home()}/lease"
        self.transport.run(script(scripts.RELEASE, folder, str(self.number), self.token))

    def beat(self) -> None:
        """Give signs of life until it is released; the body of a thread."""
        while not self._over.wait(self._ttl_s / BEATS):
            if not self._quiet:
                # A device that is away, or a lease that was stolen, is told by ``renew``.
                with contextlib.suppress(DeviceError):
                    self.renew()


@contextlib.contextmanager
def leased(
    transport: Transport,
    *,
    owner: str | None = None,
    command: str | None = None,
    steal: bool = False,
    ttl_s: int = TTL_SECONDS,
) -> Iterator[Lease]:
    """Hold a board for one measurement.

    From a process of this user and computer that has ended it is taken without further ado,
    and a run that goes on for it is ended.

    Args:
        transport: The way to the device.
        owner: Whose it is; by default this user, host and process.
        command: For what, in a line; by default the command that runs here.
        steal: Take it from whoever holds it; ``taken_from`` of the lease says whom.
        ttl_s: Seconds after which it ends without a sign of life.

    Raises:
        DeviceError: Somebody else holds it.
        ConnectError: The device is away.
    """
    lease = _take(transport, owner or owner_name(), command or command_name(), ttl_s, steal=steal)
    pulse = threading.Thread(target=lease.beat, name="slmdeploy-lease", daemon=True)
    pulse.start()
    try:
        yield lease
    finally:
        # What went wrong before tells more; the lease ends by itself.
        with contextlib.suppress(DeviceError):
            lease.release()
        # A sign of life that is on its way would open anew the connection that is closed now.
        pulse.join(JOIN_SECONDS)


def read_holder(transport: Transport) -> Holder | None:
    """Who holds a device now; ``None`` for nobody.

    Raises:
        ConnectError: The device is away.
    """
    home = transport.home()
    return _holder(transport.check(script(scripts.SHOW, f"{home}/lease", f"{home}/runs")).stdout)


def _take(transport: Transport, owner: str, command: str, ttl_s: int, *, steal: bool) -> Lease:
    home, token = transport.home(), f"{host_mark()}-{uuid.uuid4().hex}"

    def ask(whose: str) -> str:
        argv = script(
            scripts.TAKE,
            *(f"{home}/lease", f"{home}/runs", token, str(ttl_s), whose),
            *(_one_line(owner), _one_line(command)),
        )
        # Asked again after a lost connection, the board finds our token.
        return retried(lambda: transport.check(argv).stdout, Patience(RETRY_SECONDS))

    told = ask("steal" if steal else "-")
    holder = _holder(told)
    if holder is not None and "taken" not in fields_of(told) and _is_left(holder):
        _end_run(transport, holder)
        told = ask(holder.token)
    holder, number = _holder(told), fields_of(told).get("taken")
    if number is not None:
        return Lease(transport, int(number), token, holder, ttl_s)
    raise DeviceError(
        f"{transport.name} is in use: {holder}.",
        hint="Wait for it, or take it from them with --steal; what they measure is then lost.",
    )


def _is_left(holder: Holder) -> bool:
    return holder.token.startswith(f"{host_mark()}-") and has_ended(holder.owner)


def _end_run(transport: Transport, holder: Holder) -> None:
    """End what a process of ours left running: it has ended, and nobody waits for it."""
    if holder.run is not None:
        Job(transport, holder.run).stop()


def _holder(told: str) -> Holder | None:
    known = fields_of(told)
    if known.get("held") != "yes":
        return None
    return Holder(
        owner=known.get("owner", ""),
        command=known.get("command", ""),
        age_s=int(known["age"]),
        left_s=int(known["left"]),
        run=known.get("busy") or None,
        token=known.get("token", ""),
    )


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _one_line(text: str) -> str:
    return " ".join(text.split())
