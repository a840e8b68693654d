"""One board of tier C: a whole aarch64 computer under qemu, its disk with a journal.

What tier B cannot show: what a power cut leaves of files that were not fsynced, a clock of its
own, a lossy link, real control groups, a real /proc/device-tree. It boots in some six seconds.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.boards.network import Cable
from tests.boards.places import BoardError
from tests.boards.rootfs import USER
from tests.boards.slots import take_slot
from tests.boards.sshd_wait import wait_for_banner
from tests.boards.vm_image import KIND, MACHINE, vm_image

if TYPE_CHECKING:
    from slmdeploy.device.types import Device

HERE = Path(__file__).resolve().parent
BOOT_SECONDS = 120.0
SHUTDOWN_SECONDS = 60.0
CONSOLE = "console=ttyAMA0 quiet loglevel=3 panic=-1 random.trust_cpu=on mitigations=off"


class VmBoard:
    """A board of tier C, a Raspberry Pi 5 to those who ask it.

    Attributes:
        kind: What it stands for.
        user: Who logs in; root may too, with the same key.
        user_home: Their home folder on the board.
        address: Its address; sshd listens on port 22.
        client_key: Private key that it lets in.
    """

    kind = KIND
    user = USER
    user_home = f"/home/{USER}"
    port = 22

    def __init__(self, name: str = "vm") -> None:
        """Take a place and a fresh disk; it is off until ``boot``."""
        self.name = name
        self._image = vm_image()
        self._slot = take_slot()
        self._supervisor: subprocess.Popen[bytes] | None = None
        self.folder = self._slot.folder
        self.address = self._slot.address
        self.client_key = self.folder / "client_key"
        self.cable = Cable(self._slot)
        self._disk = self.folder / "disk.qcow2"
        for key in ("client_key", "host_key.pub"):
            (self.folder / key).write_bytes((self._image / key).read_bytes())
        self.client_key.chmod(0o600)
        (self.folder / "name").write_text(f"{name}\nvm\n")
        (self.folder / "known_hosts").write_text(f"{self.address} {self.host_key}\n")
        base = ["-F", "raw", "-b", str(self._image / "base.ext4")]
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", *base, str(self._disk)]
        subprocess.run(argv, check=True)

    def device(self, name: str | None = None) -> Device:
        """The board as an inventory knows it, its host key pinned."""
        from slmdeploy.device.types import Device

        return Device(
            name=name or self.name,
            host=self.address,
            port=self.port,
            user=self.user,
            board=self.kind.board,
            identity_file=self.client_key,
            host_key=self.host_key,
        )

    @property
    def host_key(self) -> str:
        """Its public host key: ``ssh-ed25519 AAAA...``."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def root(self, argv: Sequence[str], *, stdin: bytes | None = None) -> str:
        """Run a command as root on the board, and give its output.

        Raises:
            BoardError: It ended with another code than 0.
        """
        done = self._ssh(argv, stdin)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise BoardError(f"{' '.join(argv)} ended with {done.returncode} on the board: {said}")
        return done.stdout.decode(errors="replace")

    def write(self, path: str, text: str) -> None:
        """Write any file on the board, as its root."""
        self.root(["tee", path], stdin=text.encode())

    # Power

    def boot(self, *, clock: float = 0.0) -> None:
        """Switch it on, and come back when sshd answers.

        Args:
            clock: By how many seconds its clock is wrong.
        """
        if self._supervisor is not None:
            raise BoardError(f"{self.name} is already on")
        self.cable.lay()
        self.cable.offer_tap()
        self._supervisor = self._start(round(time.time() + clock))
        self._pidfd = os.pidfd_open(self._supervisor.pid)
        self.cable.plug()
        address = (self.address, self.port)
        if not wait_for_banner(address, ended=self._pidfd, seconds=BOOT_SECONDS):
            raise BoardError(f"{self.name} does not answer:\n{self.log()[-3000:]}")

    def cut(self) -> None:
        """Cut the power: what was not on the disk is lost, and nobody who was connected is told."""
        self.cable.cut()
        self._kill()

    def power_cycle(self) -> None:
        """Cut the power and switch it on again."""
        self.cut()
        self.boot()

    def reboot(self) -> None:
        """Restart in good order: connections are closed, disks written."""
        self._ssh(["kill", "-TERM", "1"], None)
        if not select.select([self._pidfd], [], [], SHUTDOWN_SECONDS)[0]:
            raise BoardError(f"{self.name} does not shut down:\n{self.log()[-3000:]}")
        self._kill()
        self.boot()

    def down(self) -> None:
        """Switch it off and remove all that it was."""
        self._kill()
        self._slot.release()

    # Faults

    def unplug(self) -> None:
        """Pull the cable: packets of both sides are lost, nothing is closed."""
        self.cable.unplug()

    def plug(self) -> None:
        """Put the cable back."""
        self.cable.plug()

    def lose(self, percent: float, *, delay: str = "0ms") -> None:
        """Lose some of the packets that it sends, and delay them all."""
        rule = ["delay", delay, "loss", f"{percent}%"]
        self.root(["tc", "qdisc", "replace", "dev", "eth0", "root", "netem", *rule])

    def set_clock(self, seconds: float) -> None:
        """Make its wall clock wrong by so many seconds."""
        self.root(["date", "-s", f"@{time.time() + seconds:.0f}"])

    def fill_disk(self, leave: int) -> None:
        """Leave so many bytes free on its only disk, in a file ``/filler``."""
        script = "free=$(df --output=avail -B1 / | tail -1); fallocate -l $((free - $1)) /filler"
        self.root(["sh", "-c", script, "sh", str(leave)])

    def log(self) -> str:
        """What it printed on its console."""
        return (self.folder / "console.log").read_text(errors="replace")

    def _ssh(self, argv: Sequence[str], stdin: bytes | None) -> subprocess.CompletedProcess[bytes]:
        hosts = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        options = ["-F", "none", "-o", hosts, "-o", "BatchMode=yes", "-i", str(self.client_key)]
        command = ["ssh", *options, f"root@{self.address}", shlex.join(argv)]
        return subprocess.run(command, input=stdin or b"", capture_output=True, check=False)

    def _start(self, now: int) -> subprocess.Popen[bytes]:
        slot = self._slot
        place = f"board.address={slot.address} board.gateway={slot.gateway} board.time={now}"
        disk = f"file={self._disk},format=qcow2,if=none,id=disk,cache=writeback"
        network = f"tap,ifname={slot.cable},script=no,downscript=no,id=net"
        qemu = [
            *("qemu-system-aarch64", *MACHINE, "-accel", "tcg,thread=multi", "-no-reboot"),
            *("-kernel", str(self._image / "kernel"), "-initrd", str(self._image / "initrd.gz")),
            *("-dtb", str(self._image / "board.dtb"), "-append", f"{CONSOLE} {place}"),
            *("-drive", disk, "-device", "virtio-blk-device,drive=disk"),
            *("-netdev", network, "-device", f"virtio-net-device,netdev=net,mac={slot.mac}"),
            *("-device", "virtio-rng-device", "-display", "none", "-monitor", "none"),
            *("-serial", f"file:{self.folder}/console.log"),
        ]
        supervise = ["sh", str(HERE / "supervisor.sh"), str(self.folder), ""]
        with (self.folder / "qemu.log").open("ab") as log:
            return subprocess.Popen(
                [*supervise, *qemu],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _kill(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            assert supervisor.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                supervisor.stdin.close()
            supervisor.wait()
            os.close(self._pidfd)
