"""The root file system of tier B: Debian 12 for aarch64, unpacked by mmdebstrap, finished by hand.

No maintainer script runs: under emulation they take minutes, unpacking takes seconds. What
they would have done is done here. The mirror is the one of this computer's own apt.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.boards.places import BoardError, cache, locked, remove_unused

SUITE = "bookworm"
PYTHON = "3.11"
MIRROR_VARIABLE = "SLMDEPLOY_BOARDS_MIRROR"
USER = "device"
USER_ID = 1000
VIDEO_GROUP = "video"  # who may ask the firmware of a Raspberry Pi

PACKAGES = (
    *("base-files", "base-passwd", "libc6", "libc-bin", "coreutils", "bash", "dash", "sed", "grep"),
    *("findutils", "tar", "gzip", "util-linux", "mount", "hostname", "debianutils", "diffutils"),
    *("procps", "passwd", "login", "mawk", "busybox-static", "iproute2", "e2fsprogs", "openssl"),
    *("openssh-server", "openssh-sftp-server", "sudo", "libpam-modules", "libpam-runtime"),
    *("python3", "python3-numpy", "libgomp1", "libstdc++6", "libfaketime"),
)
UNUSED = ("doc", "man", "locale", "info", "i18n", "zoneinfo", "perl", "lintian", "bash-completion")

PAM = {
    "common-auth": "auth required pam_permit.so\n",
    "common-account": "account required pam_permit.so\n",
    "common-password": "password required pam_permit.so\n",
    "common-session": "session required pam_permit.so\n",
    "common-session-noninteractive": "session required pam_permit.so\n",
}
SUDOERS = f"""Defaults env_keep += "QEMU_CPU QEMU_UNAME FAKETIME_DONT_FAKE_MONOTONIC"
Defaults !use_pty
{USER} ALL=(ALL:ALL) NOPASSWD: ALL
"""


def rootfs() -> Path:
    """The folder of the unpacked root file system; built when the cache has none."""
    folder = cache() / f"rootfs-{_key()}"
    with locked(cache() / "rootfs.lock"):
        if not folder.exists():
            building = cache() / "building-rootfs"
            shutil.rmtree(building, ignore_errors=True)
            _unpack(building)
            _finish(building)
            building.rename(folder)
        os.utime(folder)
        remove_unused("rootfs-*")
    return folder


def sources() -> str:
    """Lines of a sources.list, from this computer's own apt or from the environment.

    Raises:
        BoardError: apt knows no mirror of Debian 12.
    """
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return f"deb {named} {SUITE} main\n"
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    argv = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    suites = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    rows = dict.fromkeys(row for row in done.stdout.splitlines() if row.split()[1:2])
    known = [row for row in rows if row.split()[1] in suites and row.endswith(" main")]
    if not any(row.split()[1] == SUITE for row in known):
        raise BoardError(
            f"apt of this computer knows no mirror of Debian {SUITE}; name one in {MIRROR_VARIABLE}"
        )
    return "".join(f"deb {row}\n" for row in known)


def _key() -> str:
    """What decides the content: this file, which names packages and finishes them."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


def _unpack(folder: Path) -> None:
    argv = [
        *("mmdebstrap", "--architectures=arm64", "--variant=extract", "--mode=root"),
        # Mirrors of laboratories are often snapshots; signatures are checked all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(PACKAGES)}",
        *(SUITE, str(folder), "-"),
    ]
    done = subprocess.run(argv, input=sources(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise BoardError(f"mmdebstrap failed:\n{done.stderr[-2000:]}")


def _finish(root: Path) -> None:
    """Do what the packages' own scripts would have done."""
    for name in UNUSED:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    for name in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / name, ignore_errors=True)
    _users(root)
    _login(root)
    _link(root / "bin/sh", "dash")
    _link(root / "usr/bin/awk", "mawk")
    for name in ("blas", "lapack"):
        library = f"lib{name}.so.3"
        _link(root / "usr/lib/aarch64-linux-gnu" / library, f"{name}/{library}")
    (root / "usr/local/lib/board").mkdir(parents=True)
    (root / "etc/fstab").write_text("")
    argv = ["qemu-aarch64-static", str(root / "sbin/ldconfig"), "-r", str(root)]
    subprocess.run(argv, check=True)
    _compile(root)


def _users(root: Path) -> None:
    etc = root / "etc"
    masters = root / "usr/share/base-passwd"
    own = f"{USER}:x:{USER_ID}:{USER_ID}:{USER}:/home/{USER}:/bin/bash\n"
    sshd = "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
    (etc / "passwd").write_text(
        (masters / "passwd.master").read_text().replace("*", "x") + own + sshd
    )
    groups = (masters / "group.master").read_text().replace("*", "x")
    groups = groups.replace(f"\n{VIDEO_GROUP}:x:44:", f"\n{VIDEO_GROUP}:x:44:{USER}")
    (etc / "group").write_text(f"{groups}{USER}:x:{USER_ID}:\n")
    names = [row.split(":")[0] for row in (etc / "passwd").read_text().splitlines()]
    (etc / "shadow").write_text("".join(f"{name}:*:19000:0:99999:7:::\n" for name in names))
    (etc / "shadow").chmod(0o640)
    home = root / "home" / USER
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for path in (home, home / ".ssh"):
        os.chown(path, USER_ID, USER_ID)


def _login(root: Path) -> None:
    for name, text in PAM.items():
        (root / "etc/pam.d" / name).write_text(text)
    sudoers = root / f"etc/sudoers.d/{USER}"
    sudoers.write_text(SUDOERS)
    sudoers.chmod(0o440)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _compile(root: Path) -> None:
    """Write the .pyc files: without them importing numpy takes three times as long."""
    flags = ["-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash"]
    libraries = [f"usr/lib/python{PYTHON}", "usr/lib/python3"]
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        strip = ["-s", str(root), "-p", "/", *(str(root / name) for name in libraries)]
        argv = [sys.executable, *flags, *strip]
    else:
        argv = ["chroot", str(root), f"/usr/bin/python{PYTHON}", *flags]
        argv += [f"/{name}" for name in libraries]
    # Some files of Debian are templates that do not compile; nobody imports them.
    subprocess.run(argv, capture_output=True, check=False)
