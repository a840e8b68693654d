"""A real sshd that checks a password, as root of its own mount namespace.

Its /etc/shadow, /etc/pam.d/sshd, /run and /var/log are files of the test, seen by nobody else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards.sshd import SSHD, SshdBoard

PASSWORD = "open, sesame"  # noqa: S105  of a user that exists in this test alone
# Made by: openssl passwd -6 -salt slmdeploy 'open, sesame'
HASH = (
    "$6$slmdeploy$"
    "mbilweu6uDwlUAQV582b7jqoivux.hZ5k8T.WZTFNtPJQJqOvHNrlq02YCGf2ldQj403gDNXmEko7hQ97Ru5g."
)
PAM = (
    "auth required pam_unix.so nodelay\n"
    "account required pam_permit.so\nsession required pam_permit.so\n"
)
SCRIPT = """
for name in passwd group shadow pam.d/sshd; do mount --bind "$1/$name" "/etc/$name" || exit; done
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log && mkdir /run/sshd || exit
shift
exec "$@"
"""


class PasswordSshd(SshdBoard):
    """The user ``device`` gets in by password, by answers (PAM), or by key.

    Args:
        folder: For its files.
        rows: Further rows of its configuration; the first row of a keyword counts.
    """

    def __init__(self, folder: Path, rows: str) -> None:
        self._rows = rows
        super().__init__(folder)
        (folder / "pam.d").mkdir()
        (folder / "pam.d" / "sshd").write_text(PAM)
        (folder / "shadow").write_text(f"root:*:::::::\nsshd:*:::::::\ndevice:{HASH}:::::::\n")

    def _argv(self) -> list[str]:
        self._make_user()
        for path in self.folder.glob("host_key*"):
            shutil.chown(path, 0, 0)
        sshd = [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        return ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(self.folder), *sshd]

    def _config(self) -> str:
        return self._rows + super()._config()


@contextlib.contextmanager
def password_sshd(rows: str) -> Iterator[PasswordSshd]:
    """Start one; skip the test where that cannot be done."""
    if SSHD is None or os.geteuid() != 0:
        pytest.skip("only root can have an sshd check a password")
    with tempfile.TemporaryDirectory(prefix="slmdeploy-board-") as folder:
        Path(folder).chmod(0o755)
        board = PasswordSshd(Path(folder), rows)
        board.start()
        try:
            yield board
        finally:
            board.kill()
