"""Fill the cache of emulated boards, where there still is a network (see ``as-root``)."""

from __future__ import annotations

import sys

from tests.boards.binfmt import register
from tests.boards.places import BoardError
from tests.boards.rootfs import rootfs

if __name__ == "__main__":
    try:
        register()
        rootfs()
    except BoardError as error:
        sys.exit(f"boards: {error}")
