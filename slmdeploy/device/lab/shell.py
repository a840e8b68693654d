"""A shell on a board, opened where the deployment is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import PurePath

from slmdeploy.device.connect import connect
from slmdeploy.device.script import script
from slmdeploy.device.types import Device
from slmdeploy.errors import DeviceError, UsageError
from slmdeploy.transport.base import Transport
from slmdeploy.transport.shell import Interactive, has_terminal

__all__ = ["deployment_folder", "open_shell"]

FIND_SECONDS = 30.0
NOT_THERE = 3

# Arguments: our folder there, a bundle's name or nothing. `current` is a link to the
# folder of the deployment, or a file whose first word is the folder's name. Without a name
# it is the bundle that was deployed last.
FIND = r"""
root=$1
if [ -n "$2" ]; then
    current=$root/bundles/$2/current
    [ -e "$current" ] || exit 3
else
    current=$(ls -td -- "$root"/bundles/*/current 2>/dev/null | head -n 1)
fi
if [ -d "$current" ]; then
    printf '%s' "$current"
elif [ -n "$current" ] && read -r digest rest <"$current" && [ -d "${current%/*}/$digest" ]; then
    printf '%s' "${current%/*}/$digest"
elif [ -d "$root" ]; then
    printf '%s' "$root"
fi
exit 0
"""

# Arguments: the folder, or nothing for the home; then the command, or nothing for a shell.
OPEN = r"""
cd "${1:-$HOME}" || cd / || exit
shift
if [ $# -gt 0 ]; then exec "$@"; fi
exec "${SHELL:-/bin/sh}" -l
"""


def deployment_folder(transport: Transport, bundle: str | None = None) -> str:
    """The folder of a bundle's current deployment on a device.

    Args:
        transport: The way to the device.
        bundle: Name of the bundle; by default the one that was deployed last, and where
            there is none the folder that slmdeploy owns; empty if that is not there.

    Raises:
        DeviceError: The bundle that is named has no deployment there.
    """
    home = transport.home()
    found = transport.run(script(FIND, home, bundle or ""), timeout=FIND_SECONDS)
    if found.code == NOT_THERE:
        raise DeviceError(
            f"{transport.name} has no deployment of {bundle!r} in {home}/bundles.",
            hint=f"Run: slmdeploy devices deployments {transport.name}",
        )
    return found.stdout


def open_shell(device: Device, command: Sequence[str] = (), *, bundle: str | None = None) -> int:
    """Give the terminal to a shell on a device, or to a command.

    Args:
        device: The device.
        command: The command; by default the login shell, which needs a terminal here.
        bundle: As in ``deployment_folder``; a path stands for the last part of it.

    Returns:
        The exit code of the shell or the command; 128 and the number for a signal.

    Raises:
        UsageError: There is no terminal here and no command, or the transport has no shell.
        DeviceError: The device is away, refuses us, or lacks the deployment.
    """
    if not command and not has_terminal():
        raise UsageError(
            "A shell needs a terminal as standard input and output.",
            hint=f"In a script, name a command: slmdeploy devices shell {device.name} -- COMMAND",
        )
    with closing(connect(device)) as transport:
        if not isinstance(transport, Interactive):
            raise UsageError(f"{device.name} is reached by {device.transport!r}, without a shell.")
        folder = deployment_folder(transport, PurePath(bundle).name if bundle else None)
        return transport.interactive(script(OPEN, folder, *command))
