"""The cable between this computer and a board: a switch, a plug, a speed."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence

from tests.boards.places import BoardError
from tests.boards.slots import CABLE_LAID, Slot


class Cable:
    """A pair of network devices, its near end in a switch that stays when the board is off.

    So a board without power is silent, as a real one: connecting ends with "no route to host"
    after a few seconds, and whoever was connected hears nothing.
    """

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._board: int | None = None
        self._rate: tuple[str, str] | None = None

    def lay(self) -> None:
        """Put the switch there."""
        slot = self._slot
        (slot.folder / CABLE_LAID).touch()
        if not _exists(slot.bridge):
            _ip(
                f"link add {slot.bridge} type bridge",
                f"address add {slot.gateway}/30 dev {slot.bridge}",
                f"link set {slot.bridge} up",
            )

    def offer_tap(self) -> None:
        """Put this computer's end there, for a whole computer under qemu to take the other."""
        slot = self._slot
        if not _exists(slot.cable):
            _ip(f"tuntap add dev {slot.cable} mode tap", f"link set {slot.cable} up")

    def connect(self, board: int) -> None:
        """Plug it into a board that was just switched on, given its first process."""
        slot = self._slot
        self._board = board
        if _exists(slot.cable):
            _ip(f"link del {slot.cable}")
        _ip(
            f"link add {slot.cable} type veth peer name eth0 address {slot.mac} netns {board}",
            f"link set {slot.cable} master {slot.bridge} up",
        )
        _ip(
            f"address add {slot.address}/30 dev eth0",
            "link set eth0 up",
            f"route add default via {slot.gateway}",
            inside=board,
        )
        if self._rate is not None:
            self.shape(rate=self._rate[0], latency=self._rate[1])

    def unplug(self) -> None:
        _ip(f"link set {self._slot.cable} nomaster")

    def plug(self) -> None:
        _ip(f"link set {self._slot.cable} master {self._slot.bridge}")

    def cut(self) -> None:
        """As unplugged, also if it already is."""
        if _exists(self._slot.cable):
            self.unplug()

    def shape(self, *, rate: str | None, latency: str) -> None:
        """Slow down both directions by a token bucket; ``None`` takes it off."""
        self._rate = None if rate is None else (rate, latency)
        near = ["dev", self._slot.cable, "root"]
        far = ["dev", "eth0", "root"]
        enter = ["nsenter", f"--target={self._board}", "--net", "tc", "qdisc"]
        if rate is None:
            _run(["tc", "qdisc", "del", *near], may_fail=True)
            _run([*enter, "del", *far], may_fail=True)
            return
        bucket = ["tbf", "rate", rate, "burst", "64kb", "latency", latency]
        _run(["tc", "qdisc", "replace", *near, *bucket])
        _run([*enter, "replace", *far, *bucket])


def _exists(device: str) -> bool:
    return device in {name for _, name in socket.if_nameindex()}


def _ip(*commands: str, inside: int | None = None) -> None:
    enter = [] if inside is None else ["nsenter", f"--target={inside}", "--net"]
    _run([*enter, "ip", "-batch", "-"], stdin="".join(f"{command}\n" for command in commands))


def _run(argv: Sequence[str], *, stdin: str | None = None, may_fail: bool = False) -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0 and not may_fail:
        raise BoardError(f"{' '.join(argv)}: {done.stderr.strip()} {stdin or ''}")
