"""What large pieces of memory leave behind."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
from slmdeploy.steps.heap import return_at_once

if sys.argv[1] == "fixed":
    return_at_once()
x = b"x" * (30 << 20)
del x  # from here on glibc puts pieces up to that size on the heap
pieces = [(b"x" * (2 << 20), b"x" * 2000) for _ in range(50)]
small = [one for _, one in pieces]
del pieces
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


def left_behind(how: str) -> int:
    """Resident bytes after 100 MiB were let go of, between which small pieces stay."""
    argv = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_large_pieces_go_back_to_the_system_though_small_ones_stay_between_them():
    assert left_behind("usual") - left_behind("fixed") > 30 * 2**20
