"""Take a runtime off a device again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from slmdeploy.device.provision import NUMPY
from slmdeploy.device.runtimes import RECORD, RuntimePlaces, read_places
from slmdeploy.device.unused import remove_folders
from slmdeploy.errors import UsageError
from slmdeploy.transport.base import Transport

__all__ = ["Removal", "plan_removal", "remove_runtime"]

_BUNDLES = r"""
# $1: our folder. Says of each bundle, in one line: path of its manifest, tab, manifest.
cd "$1" 2>/dev/null || exit 0
for file in bundles/*/*/manifest.json; do
  case $file in *.part-*) continue ;; esac
  [ ! -f "$file" ] || { printf '%s\t' "$file"; tr -d '\n' <"$file"; echo; }
done
"""


@dataclass(frozen=True)
class Removal:
    """What a removal takes off, or would.

    Attributes:
        places: Folders and files, relative to the folder that slmdeploy owns there.
        used_by: Deployments that need the runtime, as ``NAME/DIGEST``.
    """

    places: tuple[str, ...]
    used_by: tuple[str, ...]


def plan_removal(transport: Transport, runtime: str) -> Removal:
    """Look what a runtime has on a device, and who needs it.

    Raises:
        ConnectError: The device is away.
    """
    there = read_places(transport)
    argv = ["sh", "-c", _BUNDLES, "slmdeploy", transport.home()]
    bundles = transport.check(argv, timeout=60.0).stdout.splitlines()
    return Removal(_places(runtime, there), tuple(_users(bundles, runtime)))


def remove_runtime(transport: Transport, runtime: str, removal: Removal, *, force: bool) -> None:
    """Take it off.

    Args:
        transport: The way to the device.
        runtime: Its name.
        removal: What ``plan_removal`` gave.
        force: Even if a deployment needs it.

    Raises:
        UsageError: A deployment needs it.
        CommandError: Something could not be removed.
        ConnectError: The device is away.
    """
    if removal.used_by and not force:
        raise UsageError(
            f"{transport.name} has bundles that need {runtime}: {', '.join(removal.used_by)}.",
            hint="Remove them first (slmdeploy devices remove-deployment), or give --force.",
        )
    if removal.places:
        # The record first: what is half gone must not be taken for ready.
        remove_folders(transport, [f"runtimes/{runtime}/{RECORD}", *removal.places])


def _places(runtime: str, there: RuntimePlaces) -> tuple[str, ...]:
    """Its folders, and those of numpy that no other runtime needs."""
    own = [folder for folder in there.folders if folder.startswith(f"{runtime}/")]
    others = [path for entry in there.ready if entry.name != runtime for path in entry.python_path]
    numpy = [
        folder
        for folder in there.folders
        if folder.startswith(f"{NUMPY}/") and not any(path.endswith(folder) for path in others)
    ]
    return tuple(f"runtimes/{folder}" for folder in (*own, *numpy)) if own else ()


def _users(bundles: Iterable[str], runtime: str) -> Iterator[str]:
    for line in bundles:
        path, _, text = line.partition("\t")
        try:
            needs = json.loads(text)["artifact"]["runtime"]
        except (ValueError, TypeError, KeyError):
            continue
        if needs == runtime:
            yield path.removeprefix("bundles/").removesuffix("/manifest.json")
