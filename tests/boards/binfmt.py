"""Tell the kernel that qemu runs aarch64 programs, also set-user-id ones and in a changed root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.boards.places import BoardError

NAME = "slmdeploy-aarch64"
QEMU = "qemu-aarch64-static"
# ELF, 64 bit, little endian, version 1, any ABI; type executable or shared; machine 183 (aarch64).
# From the ELF specification; the mask lets the ABI byte and the low bit of the type be any.
MAGIC = r"\x7fELF\x02\x01\x01\x00" + r"\x00" * 8 + r"\x02\x00\xb7\x00"
MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
# O, C: credentials are those of the program (sudo works); F: opened now, so that it is found
# whatever the root is. P (keeps argv[0]) is added where qemu was made for it.
FLAGS = "OCF"

# The mount stays, as systemd would leave it: without one, newer kernels forget registrations.
_REGISTER = r"""
set -eu
folder=/proc/sys/fs/binfmt_misc
[ -e "$folder/register" ] || mount -t binfmt_misc binfmt_misc "$folder"
[ -e "$folder/$1" ] || printf '%s' "$2" > "$folder/register"
cat "$folder/$1"
"""


def register() -> None:
    """Make aarch64 programs runnable on this computer; nothing where they already are ours.

    Raises:
        BoardError: qemu is missing, or the kernel refuses.
    """
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise BoardError(f"no {QEMU} on this computer (scripts/setup --boards)")
    line = f":{NAME}:M::{MAGIC}:{MASK}:{_interpreter(qemu)}:{_flags(qemu)}"
    argv = ["sh", "-c", _REGISTER, "sh", NAME, line]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "enabled" not in done.stdout:
        raise BoardError(f"the kernel takes no binfmt_misc entry for qemu: {done.stderr.strip()}")


def _interpreter(qemu: str) -> str:
    """Debian's build that understands the P flag, where it is there."""
    preserving = Path("/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
    return str(preserving) if preserving.exists() else qemu


def _flags(qemu: str) -> str:
    return FLAGS if _interpreter(qemu) == qemu else f"P{FLAGS}"
