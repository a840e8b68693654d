"""Take folders off a device, and with them the content that nothing else there uses."""

from __future__ import annotations

from collections.abc import Iterable

from slmdeploy.transport.base import Transport

__all__ = ["remove_folders"]

_REMOVE = r"""
# $1: our folder; $2: pattern of a blob's name; stdin: places below our folder. Blobs that
# no folder has any more go with them.
home=$1
while read -r place; do
  case $place in ''|/*|*..*) continue ;; esac
  rm -rf "$home/$place"
  rmdir "$home/${place%/*}" 2>/dev/null
done
rmdir "$home/runtimes" 2>/dev/null
cd "$home/blobs" 2>/dev/null || exit 0
find . -type f -name "$2" -links 1 -exec rm -f {} +
for about in *.stamp *.chunks; do
  [ ! -f "$about" ] || [ -f "${about%.*}" ] || rm -f "$about"
done
exit 0
"""
_DIGEST = "[0-9a-f]" * 64


def remove_folders(transport: Transport, places: Iterable[str]) -> None:
    """Remove folders, and blobs that no folder has.

    Args:
        transport: The way to the device.
        places: Relative to the folder that slmdeploy owns there.

    Raises:
        CommandError: Something could not be removed.
        ConnectError: The device is away.
    """
    rows = "".join(f"{place}\n" for place in places).encode()
    argv = ["sh", "-c", _REMOVE, "slmdeploy", transport.home(), _DIGEST]
    transport.check(argv, stdin=rows, timeout=120.0)
