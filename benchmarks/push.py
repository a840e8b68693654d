"""How fast ``slmdeploy push`` is, beside ``scp``, on a real sshd of this computer.

Both bring the same bundle to the same board, in turn, round by round; the ratio is taken
within each round. Ours connects, looks what is there, sends, has the board hash and flush
all of it, and names it; scp connects and copies, and neither hashes nor flushes. Each
side's whole time counts, from before the connection to after it.

Two links: the loopback, and one of 1 Gbit/s (a network namespace, a veth pair and the
kernel's token bucket), for which root is needed. On the latter the interface's counters
also tell what a push of something unchanged puts on the wire.

    python benchmarks/push.py [--rounds N] [--megabytes N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rounds import CAVEAT, Series, other_load, ratio, table

from slmdeploy.bundle.chunks import CHUNK_BYTES
from slmdeploy.bundle.manifest import Manifest
from slmdeploy.device.connect import connect
from slmdeploy.device.push.push import Deployment, push
from slmdeploy.device.types import Device
from slmdeploy.runtime.protocol import RunnerFiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.boards.sshd import SshdBoard
from tests.device.bundles import make_bundle, make_runner

LOOPBACK_BAR = 0.8
GIGABIT_BAR = 0.95
AGAIN_SECONDS = 2.0
AGAIN_BYTES = 1 << 16
CHANGED_CHUNKS = 2
AGAIN_ROUNDS = 5
ADDRESSES = ("10.79.0.0", "10.79.0.1")
GIGABIT = ("rate", "1gbit", "burst", "256kb", "latency", "20ms")

Bundle = tuple[Path, Manifest]


@dataclass(frozen=True)
class Link:
    """A board, and the interface that leads to it (``None``: the loopback)."""

    name: str
    board: SshdBoard
    host: str
    interface: str | None = None

    @property
    def device(self) -> Device:
        """The board as an inventory knows it."""
        return replace(self.board.device("bench"), host=self.host)

    def wire_bytes(self) -> int | None:
        """What went over the interface so far, both ways, headers and all."""
        if self.interface is None:
            return None
        folder = Path("/sys/class/net", self.interface, "statistics")
        return sum(int((folder / name).read_text()) for name in ("rx_bytes", "tx_bytes"))


@dataclass
class Figures:
    """What was measured on a link; rates in MB/s (10^6 bytes)."""

    ours: list[float] = field(default_factory=list)
    scp: list[float] = field(default_factory=list)
    scp_gcm: list[float] = field(default_factory=list)
    again_s: list[float] = field(default_factory=list)
    again_bytes: list[int] = field(default_factory=list)
    changed: Deployment | None = None


class NamespaceBoard(SshdBoard):
    """The sshd in a network namespace of its own."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._namespace = namespace
        super().__init__(folder)

    def _argv(self) -> list[str]:
        return ["ip", "netns", "exec", self._namespace, *super()._argv()]

    def _config(self) -> str:
        return super()._config().replace("ListenAddress 127.0.0.1", "ListenAddress 0.0.0.0")

    def _wait_for_banner(self) -> None:
        deadline = time.monotonic() + 20.0
        argv = ["ssh-keyscan", "-p", str(self.port), ADDRESSES[1]]
        while not subprocess.run(argv, capture_output=True, check=False).stdout:
            if time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not answer:\n{self.log()}")


@contextmanager
def loopback(folder: Path) -> Iterator[Link]:
    """A board on this computer's loopback."""
    board = SshdBoard(folder)
    board.start()
    try:
        yield Link("loopback", board, "127.0.0.1")
    finally:
        board.kill()


@contextmanager
def gigabit(folder: Path) -> Iterator[Link]:
    """A board behind a link of 1 Gbit/s, both ways."""
    namespace, near, far = f"slmd-{os.getpid()}", f"slmd{os.getpid()}"[:15], "slmdfar"
    inside = ["netns", "exec", namespace]
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        _ip("addr", "add", f"{ADDRESSES[0]}/31", "dev", near)
        _ip("link", "set", near, "up")
        _ip(*inside, "ip", "addr", "add", f"{ADDRESSES[1]}/31", "dev", far)
        _ip(*inside, "ip", "link", "set", far, "up")
        _run("tc", "qdisc", "add", "dev", near, "root", "tbf", *GIGABIT)
        _ip(*inside, "tc", "qdisc", "add", "dev", far, "root", "tbf", *GIGABIT)
        board = NamespaceBoard(folder, namespace)
        board.start()
        try:
            yield Link("1 Gbit/s", board, ADDRESSES[1], near)
        finally:
            board.kill()
    finally:
        _ip("netns", "del", namespace)


def measure(link: Link, bundle: Bundle, runner: RunnerFiles, rounds: int) -> Figures:
    """Both sides in turn; which comes first changes from round to round."""
    found = Figures()
    megabytes = sum(path.stat().st_size for path in bundle[0].iterdir()) / 1e6
    arms: list[tuple[list[float], Callable[[], float]]] = [
        (found.ours, lambda: push_seconds(link, bundle, runner)[0]),
        (found.scp, lambda: scp_seconds(link, bundle[0])),
        (found.scp_gcm, lambda: scp_seconds(link, bundle[0], "-c", "aes128-gcm@openssh.com")),
    ]
    for number in range(rounds + 1):
        for rates, work in arms[number % 3 :] + arms[: number % 3]:
            clear(link)
            seconds = work()
            if number:  # the first round warms caches
                rates.append(megabytes / seconds)
    clear(link)
    push_seconds(link, bundle, runner)
    return found


def measure_again(
    link: Link, bundle: Bundle, runner: RunnerFiles, found: Figures, folder: Path
) -> None:
    """Push what is there already, then what differs in one byte."""
    for _ in range(AGAIN_ROUNDS):
        before = link.wire_bytes()
        seconds, done = push_seconds(link, bundle, runner)
        after = link.wire_bytes()
        if done.sent_bytes:
            raise RuntimeError(f"{done.sent_bytes} bytes of an unchanged bundle were sent")
        found.again_s.append(seconds)
        if before is not None and after is not None:
            found.again_bytes.append(after - before)
    model = bytearray((bundle[0] / "model.pte").read_bytes())
    model[len(model) // 3] ^= 1
    other = make_bundle(folder, model=bytes(model))
    _, found.changed = push_seconds(link, other, runner)


def push_seconds(link: Link, bundle: Bundle, runner: RunnerFiles) -> tuple[float, Deployment]:
    """Connect, push, close; in seconds."""
    begun = time.perf_counter()
    with closing(connect(link.device)) as transport:
        done = push(*bundle, runner, transport)
    return time.perf_counter() - begun, done


def scp_seconds(link: Link, bundle: Path, *options: str) -> float:
    """Copy the bundle's folder, in seconds."""
    device = link.device
    options += ("-q", "-r", "-F", "/dev/null", "-P", str(device.port))
    options += ("-i", str(device.identity_file), "-o", "StrictHostKeyChecking=no")
    options += ("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
    target = f"{device.user}@{device.host}:{link.board.home}/copy"
    begun = time.perf_counter()
    _run("scp", *options, str(bundle), target)
    return time.perf_counter() - begun


def clear(link: Link) -> None:
    """Empty the board, and let nothing be left to write when the clock starts."""
    for name in (".slmdeploy", "copy"):
        shutil.rmtree(link.board.home / name, ignore_errors=True)
    os.sync()


def document(link: str, found: Figures, bar: float) -> dict[str, Any]:
    """Of one link, for JSON."""
    rates = ratio(Series(tuple(found.ours)), Series(tuple(found.scp)))
    gcm = ratio(Series(tuple(found.ours)), Series(tuple(found.scp_gcm)))
    return {
        "link": link,
        "ours_mb_per_s": Series(tuple(found.ours)).document(1),
        "scp_mb_per_s": Series(tuple(found.scp)).document(1),
        "scp_aes128_gcm_mb_per_s": Series(tuple(found.scp_gcm)).document(1),
        "ours_by_scp": rates.document(),
        "ours_by_scp_aes128_gcm": gcm.document(),
        "bar": bar,
        "kept": rates.median >= bar,
    }


def again_document(found: Figures) -> dict[str, Any]:
    """Of pushes of what is there, for JSON; bytes are ``None`` without root."""
    changed = 0 if found.changed is None else found.changed.sent_bytes
    wire = max(found.again_bytes) if found.again_bytes else None
    seconds = max(found.again_s)
    return {
        "unchanged_s": round(statistics.median(found.again_s), 3),
        "unchanged_slowest_s": round(seconds, 3),
        "unchanged_wire_bytes": wire,
        "changed_sent_bytes": changed,
        "chunk_bytes": CHUNK_BYTES,
        "kept": seconds < AGAIN_SECONDS
        and (wire is None or wire < AGAIN_BYTES)
        and changed < CHANGED_CHUNKS * CHUNK_BYTES,
    }


def show(result: dict[str, Any]) -> None:
    """For people."""
    rows = []
    for link in result["links"]:
        by = link["ours_by_scp"]
        rows.append(
            [
                link["link"],
                *(
                    f"{link[key]['median']:.0f}"
                    for key in ("ours_mb_per_s", "scp_mb_per_s", "scp_aes128_gcm_mb_per_s")
                ),
                f"{by['median']:.2f} ({by['min']:.2f} to {by['max']:.2f})",
                f"{link['ours_by_scp_aes128_gcm']['median']:.2f}",
                f"{link['bar']:.2f} {'kept' if link['kept'] else 'MISSED'}",
            ]
        )
    head = ["link", "push", "scp", "scp gcm", "push / scp", "/ scp gcm", "bar"]
    print(f"{result['megabytes']} MB, MB/s, medians of {result['rounds']} rounds\n")
    print(table(head, rows))
    again = result["again"]
    wire = again["unchanged_wire_bytes"]
    print(
        f"\nunchanged: {again['unchanged_s']} s (slowest {again['unchanged_slowest_s']} s; bar "
        f"{AGAIN_SECONDS:g} s), {'?' if wire is None else wire} bytes on the wire both ways, "
        f"handshake included (bar {AGAIN_BYTES})"
    )
    print(
        f"one byte changed: {again['changed_sent_bytes']} bytes sent (bar {CHANGED_CHUNKS} chunks "
        f"of {again['chunk_bytes']})"
    )
    print(f"\n{result['load']}\n{CAVEAT}")
    for note in result["notes"]:
        print(note)


def main() -> int:
    """Measure, print, and give 1 when a bar failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    links: list[dict[str, Any]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="slmdeploy-bench-") as name, other_load() as load:
        folder = Path(name)
        folder.chmod(0o755)
        bundle = make_bundle(folder / "bundle", model=os.urandom(asked.megabytes * 10**6))
        runner = make_runner(folder / "runner")
        kinds = [(loopback, LOOPBACK_BAR)]
        if os.geteuid() == 0:
            kinds.append((gigabit, GIGABIT_BAR))
        else:
            notes.append("The link of 1 Gbit/s was left out: root is needed to make one.")
        for number, (make, bar) in enumerate(kinds):
            place = folder / f"board{number}"
            place.mkdir(mode=0o755)
            with make(place) as link:
                found = measure(link, bundle, runner, asked.rounds)
                measure_again(link, bundle, runner, found, folder / f"changed{number}")
            links.append(document(link.name, found, bar))
    result = {
        "schema": "slmdeploy/benchmark-push/1",
        "megabytes": asked.megabytes,
        "rounds": asked.rounds,
        "links": links,
        "again": again_document(found),
        "load": load.text(),
        "notes": notes,
    }
    if asked.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    kept = all(link["kept"] for link in links) and result["again"]["kept"]
    return 0 if kept else 1


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
