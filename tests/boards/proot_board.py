"""A lesser board of tier B, for computers that forbid namespaces, as containers often do.

PRoot gives aarch64 programs another root by tracing their system calls: some three times slower
than binfmt_misc, no address, no cable, no memory limit, no root on the board. What the board
shows and what it runs is the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.boards.emulated_board import EmulatedBoard
from tests.boards.furnish import fresh
from tests.boards.kinds import Kind
from tests.boards.places import BoardError
from tests.boards.ports import free_port
from tests.boards.rootfs import USER, USER_ID
from tests.boards.seccomp import make_unknown
from tests.boards.slots import kill_processes_of

SSHD_LINES = "Port {port}\nListenAddress 127.0.0.1\nStrictModes no\n"
SUDO = """#!/bin/sh
# Nobody can become root here; what root may write belongs to the user.
if [ "$1" = -n ]; then shift; fi
exec "$@"
"""


class ProotBoard(EmulatedBoard):
    """As an ``EmulatedBoard``, on a port of loopback; what it cannot do raises BoardError."""

    needs_binfmt = False
    isolated = False

    def __init__(self, kind: Kind, **values: Any) -> None:
        super().__init__(kind, **values)
        self._proot: subprocess.Popen[bytes] | None = None
        self.address = "127.0.0.1"
        self.port = free_port()
        self._etc()
        self._usr_local()
        for name in ("home", "tmp", "run"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "overlay/home" / USER).rename(self.folder / "home" / USER)
        (self.folder / "run/sshd").mkdir()
        self._give_away()
        self._bring_near()

    def boot(self) -> None:
        """Switch it on, and come back when sshd answers."""
        with (self.folder / "console.log").open("ab") as console:
            self._proot = subprocess.Popen(
                self._argv(["/usr/sbin/sshd", "-D", "-e"]),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=make_unknown,  # noqa: PLW1509 -- no threads of ours hold locks here
                start_new_session=True,
            )
        self._init = self._proot.pid
        self._pidfd = os.pidfd_open(self._init)
        self.wait_for_sshd()

    def cut(self) -> None:
        """End all at once; the computer's kernel closes their connections."""
        self._kill()

    def root(self, argv: Sequence[str], *, stdin: bytes | None = None) -> str:
        """Run a command that believes to be root, as nobody can be it here."""
        done = subprocess.run(
            self._argv(argv, fake_root=True),
            input=stdin or b"",
            capture_output=True,
            check=False,
            preexec_fn=make_unknown,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise BoardError(f"{' '.join(argv)} ended with {done.returncode} on the board: {said}")
        return done.stdout.decode(errors="replace")

    def host_path(self, path: str) -> Path:
        """Where a path of the board is on this computer, for what differs between boards."""
        for part in ("home", "tmp", "run", "etc"):
            if path.startswith(f"/{part}/"):
                return self.folder / path.lstrip("/")
        return super().host_path(path)

    def _kill(self) -> None:
        # Whom a killed PRoot traced lives on: all have to be found, also late children.
        for _ in range(3):
            kill_processes_of(self.folder)
        super()._kill()
        if self._proot is not None:
            self._proot.wait()

    def _argv(self, command: Sequence[str], *, fake_root: bool = False) -> list[str]:
        folder = self.folder
        qemu = f"qemu-aarch64-static -cpu {self.kind.cpu} -r {self.kind.release}"
        bound = [("/proc", "/proc"), ("/dev", "/dev"), (f"{folder}/sys", "/sys")]
        bound += [(str(path), f"/proc/{path.name}") for path in sorted((folder / "proc").iterdir())]
        bound += [(f"{folder}/{name}", f"/{name}") for name in ("home", "tmp", "run", "etc")]
        bound += [(f"{folder}/local", "/usr/local"), (f"{folder}/board", "/usr/local/lib/board")]
        binds = [word for source, target in bound for word in ("-b", f"{source}:{target}")]
        identity = ["-0"] if fake_root else ["-i", f"{USER_ID}:{USER_ID}"]
        drop = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"]
        path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [
            *(drop if os.geteuid() == 0 else []),
            *("proot", *identity, "-q", qemu, "-r", str(self._rootfs), *binds),
            *("-w", "/", "/usr/bin/env", "-i", path, *command),
        ]

    def _give_away(self) -> None:
        """Let a user who is not root reach and own all of it, but for the root file system."""
        if os.geteuid() != 0:
            return
        parts = ("sys", "proc", "board", "home", "tmp", "run", "etc", "local")
        owned = ["chown", "-R", f"{USER_ID}:{USER_ID}"]
        subprocess.run([*owned, *(str(self.folder / part) for part in parts)], check=True)

    def _bring_near(self) -> None:
        """Links to the root file system: its cache may lie where only root may enter.

        And by the folder in their maps the board's processes are found.
        """
        near = self.folder / "rootfs"
        linked = ["cp", "-al", str(self._rootfs), str(near)]
        if subprocess.run(linked, capture_output=True, check=False).returncode != 0:
            shutil.rmtree(near, ignore_errors=True)
            copied = ["cp", "-a", str(self._rootfs), str(near)]
            subprocess.run(copied, check=True)
        self._rootfs = near

    def _etc(self) -> None:
        """An /etc of its own, its sshd on a port of its own."""
        etc = self.folder / "etc"
        copy = ["cp", "-a", "--no-preserve=ownership", f"{self._rootfs}/etc", str(etc)]
        # Files that only root may read stay behind, where we are not root.
        subprocess.run(copy, capture_output=True, check=False)
        shutil.copytree(self.folder / "overlay/etc", etc, dirs_exist_ok=True)
        config = etc / "ssh/sshd_config"
        text = config.read_text().replace("Port 22\n", SSHD_LINES.format(port=self.port))
        fresh(config, text)

    def _usr_local(self) -> None:
        local = self.folder / "local"
        (local / "lib/board").mkdir(parents=True)
        shutil.copytree(self.folder / "overlay/usr/bin", local / "bin")
        fresh(local / "bin/sudo", SUDO, mode=0o755)
