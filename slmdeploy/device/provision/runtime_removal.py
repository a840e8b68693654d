"""Take a runtime off a device again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from slmdeploy.device.provision.runtimes import NUMPY, RECORD, RuntimePlaces, read_places
from slmdeploy.device.push.deployments import Removed, list_deployments, remove_paths
from slmdeploy.device.script import script
from slmdeploy.errors import UsageError
from slmdeploy.transport.base import Transport

__all__ = ["remove_folders", "remove_runtime", "users_of"]

_BUNDLES = r"""
# $1: our folder. Says of each bundle, in one line: path of its manifest, tab, manifest.
cd "$1" 2>/dev/null || exit 0
for file in bundles/*/*/manifest.json; do
  case $file in *.part-*) continue ;; esac
  [ ! -f "$file" ] || { printf '%s\t' "$file"; tr -d '\n' <"$file"; echo; }
done
"""
_SECONDS = 60.0


def remove_runtime(
    transport: Transport, runtime: str, *, force: bool = False, dry_run: bool = False
) -> Removed:
    """Take all of a runtime off, the numpy that no other one needs, and their content.

    Args:
        transport: The way to the device.
        runtime: Its name.
        force: Even if a deployment needs it.
        dry_run: Only say what would be removed.

    Raises:
        UsageError: A deployment needs it, or a process runs in it.
        DeviceError: It is away, or something could not be removed.
    """
    places = _places(runtime, read_places(transport))
    listing = list_deployments(transport, everything=True)
    users = users_of(transport, runtime) if places else ()
    if not dry_run:
        _refuse(transport.name, runtime, users, listing.running & set(places), force=force)
        if places:
            # First, so that what is half gone is not taken for ready.
            record = f"{transport.home()}/runtimes/{runtime}/{RECORD}"
            transport.check(["rm", "-f", record], timeout=_SECONDS)
    return remove_paths(transport, listing, places, dry_run=dry_run)


def remove_folders(transport: Transport, places: Iterable[str]) -> None:
    """Take folders off, and the content that nothing else has.

    Args:
        transport: The way to the device.
        places: Below the folder that slmdeploy owns there.

    Raises:
        DeviceError: It is away, or something could not be removed.
    """
    listing = list_deployments(transport, everything=True)
    remove_paths(transport, listing, places, dry_run=False)


def users_of(transport: Transport, runtime: str) -> tuple[str, ...]:
    """Versions of bundles that need a runtime, as ``NAME@DIGEST``.

    Raises:
        ConnectError: The device is away.
    """
    argv = script(_BUNDLES, transport.home())
    return tuple(_users(transport.check(argv, timeout=_SECONDS).stdout.splitlines(), runtime))


def _refuse(
    device: str, runtime: str, users: tuple[str, ...], running: set[str], *, force: bool
) -> None:
    if running:
        raise UsageError(
            f"{runtime} runs on {device} now.", hint=f"See: slmdeploy devices jobs {device}"
        )
    if users and not force:
        raise UsageError(
            f"{device} has bundles that need {runtime}: {', '.join(users)}.",
            hint=f"Remove them first (slmdeploy devices remove-deployment {device} NAME), or give "
            "--force.",
        )


def _places(runtime: str, there: RuntimePlaces) -> tuple[str, ...]:
    """Its folders, and those of numpy that no other runtime needs."""
    needed = there.needed(but=runtime)
    own = [folder for folder in there.folders if folder.startswith(f"{runtime}/")]
    numpy = [f for f in there.folders if f.startswith(f"{NUMPY}/") and f not in needed]
    return tuple(f"runtimes/{folder}" for folder in (*own, *numpy)) if own else ()


def _users(bundles: Iterable[str], runtime: str) -> Iterator[str]:
    for line in bundles:
        path, _, text = line.partition("\t")
        try:
            needs = json.loads(text)["artifact"]["runtime"]
        except (ValueError, TypeError, KeyError):
            continue
        if needs == runtime:
            _, name, digest, _ = path.split("/")
            yield f"{name}@{digest}"
