"""What a board's root gets before it is switched on: keys, sshd's configuration, names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.boards.rootfs import USER, USER_ID

HERE = Path(__file__).resolve().parent
HOST_KEY = "etc/ssh/board_host_key"
PUBLIC_KEY = "etc/ssh/ssh_host_ed25519_key.pub"
"""Where people look, and slmdeploy tells them to, when they compare a fingerprint."""


def make_key(path: Path) -> None:
    """Make a key pair, in the place of one that is there."""
    path.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "board", "-f", str(path)]
    subprocess.run(argv, check=True)


def write_login(root: Path, keys: Path, sshd_config: str, name: str) -> None:
    """Let the owner of ``client_key`` in, at a computer of this name with ``host_key``."""
    fresh(root / "etc/ssh/sshd_config", sshd_config)
    fresh(root / HOST_KEY, (keys / "host_key").read_text(), mode=0o600)
    fresh(root / PUBLIC_KEY, (keys / "host_key.pub").read_text())
    fresh(root / "etc/hostname", f"{name}\n")
    fresh(root / "etc/hosts", f"127.0.0.1 localhost {name}\n")
    home = root / "home" / USER
    authorized = home / ".ssh/authorized_keys"
    fresh(authorized, (keys / "client_key.pub").read_text(), mode=0o600)
    authorized.parent.chmod(0o700)
    for path in (home, authorized.parent, authorized):
        os.chown(path, USER_ID, USER_ID)


def install_tools(root: Path, names: tuple[str, ...]) -> None:
    """Put in the programs that stand for the vendor's."""
    for name in names:
        fresh(root / "usr/bin" / name, (HERE / "stand_ins" / name).read_text(), mode=0o755)


def fresh(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file of its own, never through a hard link, in folders that all may enter."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def make_disk(image: Path, size: int, content: Path, *, owner: int = 0) -> None:
    """An ext4 disk image with a folder's files, none of its blocks kept for root."""
    with image.open("wb") as file:
        file.truncate(size)
    argv = ["mkfs.ext4", "-q", "-m", "0", "-E", f"root_owner={owner}:{owner}"]
    subprocess.run([*argv, "-d", str(content), str(image)], check=True, capture_output=True)


def move_home_to_disk(root: Path, image: Path, size: int) -> None:
    """Put the home folder on a small disk of its own, all of it for the user."""
    home = root / "home" / USER
    if in_user_namespace():
        # No disk can be mounted there; memory of that size gets full just the same.
        folder = image.with_suffix("")
        folder.mkdir()
        options = f"size={size},mode=755,uid={USER_ID},gid={USER_ID}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        copy = ["cp", "-a", f"{home}/.", str(folder)]
        for argv in (mount, copy):
            subprocess.run(argv, check=True)
    else:
        make_disk(image, size, home, owner=USER_ID)
    shutil.rmtree(home)


def in_user_namespace() -> bool:
    """Whether we are the root of a namespace only, not of the computer."""
    return Path("/proc/self/uid_map").read_text().split()[2] != "4294967295"
