"""Whether this computer can run emulated boards, and why it cannot."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.boards.binfmt import register
from tests.boards.places import BoardError, run_folder
from tests.boards.slots import clear_leftovers

PROGRAMS = {
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
}

PROOT_PROGRAMS = {
    "proot": "proot",
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
    "ssh-keygen": "openssh-client",
}
VM_PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "fdtput": "device-tree-compiler",
}


@functools.cache
def why_not() -> str | None:
    """Why this computer cannot run emulated boards; ``None`` where it can."""
    if os.geteuid() != 0:
        return "emulated boards need root, at least that of tests/boards/as-root"
    missing = _missing(PROGRAMS)
    if missing:
        return f"emulated boards need {missing} (scripts/setup --boards)"
    try:
        register()
    except BoardError as error:
        return f"emulated boards need binfmt_misc: {error}"
    overlay = _overlay_fails()
    if overlay is not None:
        return overlay
    clear_leftovers()
    return None


def why_no_proot() -> str | None:
    """Why this computer cannot even run the lesser boards; ``None`` where it can."""
    if os.geteuid() != 0:
        return "emulated boards under PRoot need root for their root file system"
    missing = _missing(PROOT_PROGRAMS)
    if missing:
        return f"emulated boards under PRoot need {missing} (scripts/setup --boards)"
    if platform.machine() != "x86_64":
        return "emulated boards under PRoot need an x86-64 computer"
    clear_leftovers()
    return None


def why_no_vm() -> str | None:
    """Why this computer cannot run tier C, given that it can run tier B; ``None`` where it can."""
    missing = _missing(VM_PROGRAMS)
    if missing:
        return f"emulated boards of tier C need {missing} (scripts/setup --boards)"
    if not Path("/dev/net/tun").exists():
        return "emulated boards of tier C need /dev/net/tun"
    return None


def _missing(programs: Mapping[str, str]) -> str:
    """Names of the packages whose programs are not installed."""
    return " ".join(sorted({programs[name] for name in programs if shutil.which(name) is None}))


def _overlay_fails() -> str | None:
    """Try namespaces and an overlay where boards would be."""
    folder = run_folder() / f"try-{os.getpid()}"
    for name in ("lower", "upper", "work", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(folder / "root")]
    argv = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", *mount]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    if done.returncode == 0:
        return None
    return f"emulated boards need namespaces and overlayfs here: {done.stderr.strip()}"
