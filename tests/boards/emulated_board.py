"""One emulated board: its file system, namespaces, cable and power switch."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.boards.binfmt import register
from tests.boards.furnish import (
    HOST_KEY,
    PUBLIC_KEY,
    fresh,
    install_tools,
    make_key,
    move_home_to_disk,
    write_login,
)
from tests.boards.kinds import Kind
from tests.boards.launch import enter, launch
from tests.boards.network import Cable
from tests.boards.places import BoardError
from tests.boards.rootfs import USER, rootfs
from tests.boards.sensor_files import Sensors, write_in_place
from tests.boards.slots import take_slot
from tests.boards.sshd_wait import wait_for_banner, wait_for_refusal

if TYPE_CHECKING:
    from slmdeploy.device.types import Device

HERE = Path(__file__).resolve().parent
BOOT_SECONDS = 30.0
SSHD_CONFIG = """Port 22
HostKey /etc/ssh/board_host_key
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
Subsystem sftp /usr/lib/openssh/sftp-server
UseDNS no
MaxStartups 50
MaxSessions 50
SetEnv QEMU_CPU={cpu} QEMU_UNAME={release} FAKETIME_DONT_FAKE_MONOTONIC=1
"""
# Where the board's processes see these, this computer writes to files of its own.
_BOUND = ("/sys/", "/proc/", "/usr/local/lib/board/")


class EmulatedBoard:
    """A board of tier B: aarch64 programs under qemu, in namespaces of their own.

    Attributes:
        kind: What it stands for.
        name: Its host name.
        user: Who logs in.
        user_home: Their home folder on the board.
        address: Its address; sshd listens on port 22.
        isolated: Whether name, processes, users and network are its own.
        client_key: Private key that it lets in.
        sensors: The files behind /sys, /proc and the vendor's tools.
    """

    user = USER
    user_home = f"/home/{USER}"
    port = 22
    needs_binfmt = True
    isolated = True

    def __init__(
        self,
        kind: Kind,
        *,
        name: str | None = None,
        sudo: bool = True,
        home_disk: int | None = None,
        persistent: bool = False,
        **values: Any,
    ) -> None:
        """Take a place and write its files; it is off until ``boot``.

        Args:
            kind: What it stands for.
            name: Its host name; ``None`` for the kind's.
            sudo: Whether the user may become root without a password.
            home_disk: Size of a disk of its own for the home folder, in bytes.
            persistent: Outlives this process.
            values: What sensors show at first, where it differs from the kind's values.
        """
        if self.needs_binfmt:
            register()
        self.kind = kind
        self.name = name or kind.name
        self._rootfs = rootfs()
        self._slot = take_slot()
        self._persistent = persistent
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._init: int | None = None
        self._memory: int | None = None
        self.folder = self._slot.folder
        self.address = self._slot.address
        self.client_key = self.folder / "client_key"
        self.cable = Cable(self._slot)
        self.sensors = Sensors(self.folder, kind.tree, {**kind.values, **values})
        self._furnish(sudo=sudo)
        if home_disk is not None:
            move_home_to_disk(self.folder / "overlay", self.folder / "home.img", home_disk)

    # What a test asks of it

    def device(self, name: str | None = None) -> Device:
        """The board as an inventory knows it, its present host key pinned."""
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

    def set(self, **values: Any) -> None:
        """Change what its sensors show, at once: ``temperature=82.5``, ``throttled=0x50005``.

        Raises:
            KeyError: This kind of board has no such value.
        """
        self.sensors.set(**values)

    def write(self, path: str, text: str) -> None:
        """Write any file on the board, as its kernel or its root would."""
        write_in_place(self.host_path(path), text.encode())

    def host_path(self, path: str) -> Path:
        """Where a path of the running board is on this computer."""
        for prefix in _BOUND:
            if path.startswith(prefix):
                below = path.removeprefix("/usr/local/lib/")
                return self.folder / below.lstrip("/")
        return Path(f"/proc/{self._running()}/root") / path.lstrip("/")

    def root(self, argv: Sequence[str], *, stdin: bytes | None = None) -> str:
        """Run a command as root on the board, and give its output.

        Raises:
            BoardError: It ended with another code than 0.
        """
        variables = (f"QEMU_CPU={self.kind.cpu}", f"QEMU_UNAME={self.kind.release}", "HOME=/root")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        command = [*enter(self._running()), "/usr/bin/env", "-i", *variables, path, *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise BoardError(f"{' '.join(argv)} ended with {done.returncode} on the board: {said}")
        return done.stdout.decode(errors="replace")

    # Power

    def boot(self) -> None:
        """Switch it on, and come back when sshd answers."""
        if self._init is not None:
            raise BoardError(f"{self.name} is already on")
        self.cable.lay()
        self._prepare_memory_group()
        init = ["bash", str(HERE / "board_init.sh"), str(self.folder), str(self._rootfs)]
        command = [*init, self.name, self.kind.cpu, self.kind.release]
        self._supervisor, self._init = launch(self._slot, command, persistent=self._persistent)
        self._pidfd = os.pidfd_open(self._init)
        self.cable.connect(self._init)
        self.wait_for_sshd()
        # Under pressure the kernel ends what was started later, as on a board.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._init}/oom_score_adj").write_text("-999")

    def cut(self) -> None:
        """Cut the power: all ends at once, and nobody who was connected is told."""
        self.cable.cut()
        self._kill()

    def reboot(self) -> None:
        """Restart in good order: connections are closed, then it comes up again."""
        self._kill()
        self.boot()

    def power_cycle(self) -> None:
        """Cut the power and switch it on again."""
        self.cut()
        self.boot()

    def down(self) -> None:
        """Switch it off and remove all that it was."""
        self._kill()
        self._slot.release()

    @property
    def is_on(self) -> bool:
        return self._init is not None

    # Faults

    def unplug(self) -> None:
        """Pull the cable: packets of both sides are lost, nothing is closed."""
        self.cable.unplug()

    def plug(self) -> None:
        """Put the cable back."""
        self.cable.plug()

    def shape(self, *, rate: str | None = None, latency: str = "50ms") -> None:
        """Make the cable slow: ``rate="8mbit"`` both ways; ``None`` makes it fast again."""
        self.cable.shape(rate=rate, latency=latency)

    @property
    def can_limit_memory(self) -> bool:
        """Whether this computer lets us, for ``limit_memory``."""
        return self._slot.memory_group is not None

    def limit_memory(self, size: int | None) -> None:
        """Let all of its processes together have so many bytes; the kernel ends who asks for more.

        qemu needs about 25 MB for each. ``None`` takes the limit off.

        Raises:
            BoardError: This computer has no memory control group.
        """
        group = self._slot.memory_group
        if group is None:
            raise BoardError("this computer has no control group for memory")
        self._memory = size
        version1 = (group / "memory.limit_in_bytes").exists()
        file = group / ("memory.limit_in_bytes" if version1 else "memory.max")
        none = "-1" if version1 else "max"
        file.write_text(none if size is None else str(size))
        swap = group / "memory.swap.max"
        if not version1 and swap.exists():
            swap.write_text(none if size is None else "0")

    def stop_sshd(self) -> None:
        """End sshd and every session: its port refuses connections. The rest goes on.

        Raises:
            BoardError: Something listens there still.
        """
        end = ["/bin/sh", "-c", ": > /run/sshd-off; pkill -KILL sshd; :"]
        address = (self.address, self.port)
        # A killed process closes its port a moment later, and one may just have been started.
        if not wait_for_refusal(address, each_time=lambda: self.root(end), seconds=BOOT_SECONDS):
            raise BoardError(f"{self.name} still listens at port {self.port}")

    def start_sshd(self) -> None:
        """Let sshd listen again."""
        self.root(["/bin/sh", "-c", "rm -f /run/sshd-off; echo > /run/sshd-wake"])
        self.wait_for_sshd()

    def hang_sshd(self) -> None:
        """Stop sshd where it stands: its port accepts, and nothing is ever said."""
        self.root(["/usr/bin/pkill", "-STOP", "-P", "1", "-x", "sshd"])

    def unhang_sshd(self) -> None:
        """Let it go on."""
        self.root(["/usr/bin/pkill", "-CONT", "-P", "1", "-x", "sshd"])

    def change_host_key(self) -> None:
        """Give it another host key, as a re-imaged board has; sessions go on."""
        make_key(self.folder / "host_key")
        for place, name in ((HOST_KEY, "host_key"), (PUBLIC_KEY, "host_key.pub")):
            key = (self.folder / name).read_bytes()
            self.root(["/usr/bin/tee", f"/{place}"], stdin=key)
        # The first process starts it again, with the new key.
        self.root(["/usr/bin/pkill", "-KILL", "-P", "1", "-x", "sshd"])
        self.wait_for_sshd()

    def set_clock(self, seconds: float) -> None:
        """Shift its wall clock by so many seconds, for programs that start from now on.

        CLOCK_MONOTONIC and statically linked programs (busybox) keep the true time.
        """
        library = "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"
        self.write("/etc/faketimerc", f"{seconds:+.0f}s\n")
        self.write("/etc/ld.so.preload", f"{library}\n" if seconds else "")

    def make_home_read_only(self) -> None:
        """Let nobody write in the home folder, as after an error of the disk."""
        home = self.user_home
        self.root(["/bin/mount", "--bind", home, home])
        self.root(["/bin/mount", "-o", "remount,bind,ro", home])

    def make_home_writable(self) -> None:
        """Undo ``make_home_read_only``."""
        self.root(["/bin/umount", "-l", self.user_home])

    def log(self) -> str:
        """What it printed on its console."""
        return (self.folder / "console.log").read_text(errors="replace")

    def wait_for_sshd(self) -> None:
        """Come back when sshd says its first words.

        Raises:
            BoardError: It does not, in time.
        """
        address = (self.address, self.port)
        if wait_for_banner(address, ended=self._pidfd, seconds=BOOT_SECONDS):
            return
        raise BoardError(f"{self.name} does not answer:\n{self.log()[-3000:]}")

    # How it is made

    def _running(self) -> int:
        if self._init is None:
            raise BoardError(f"{self.name} is off")
        return self._init

    def _prepare_memory_group(self) -> None:
        group = self._slot.memory_group
        if group is not None:
            group.mkdir(exist_ok=True)
            # Perhaps it is left from an earlier board, with its limit.
            self.limit_memory(self._memory)

    def _kill(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None and supervisor.stdin is not None:
            supervisor.stdin.close()
            supervisor.wait()
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, 9)
            select.select([self._pidfd], [], [], BOOT_SECONDS)
            os.close(self._pidfd)
            self._init = None

    def _furnish(self, *, sudo: bool) -> None:
        for name in ("upper", "work", "root", "overlay", "board", "proc", "sys"):
            (self.folder / name).mkdir()
        (self.folder / "overlay").chmod(0o755)
        (self.folder / "name").write_text(f"{self.name}\n{self.kind.name}\n")
        self.sensors.write_all()
        for name in ("host_key", "client_key"):
            make_key(self.folder / name)
        overlay = self.folder / "overlay"
        if (self.folder / "etc").exists():
            (self.folder / "etc").rename(overlay / "etc")
            (overlay / "etc").chmod(0o755)
        config = SSHD_CONFIG.format(cpu=self.kind.cpu, release=self.kind.release)
        write_login(overlay, self.folder, config, self.name)
        install_tools(overlay, self.kind.tools)
        if not sudo:
            fresh(overlay / f"etc/sudoers.d/{USER}", "", mode=0o440)
