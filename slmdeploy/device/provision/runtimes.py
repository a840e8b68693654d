"""Which runtimes are on a device, and where its Python finds them.

Below the folder that slmdeploy owns there::

    runtimes/NAME/DIGEST12/          a runtime's files, named by what is in them
    runtimes/numpy/DIGEST12/         the numpy that one of them needs
    runtimes/NAME/provisioned.json   which of them ``devices provision`` made ready, and how

Only what has its ``provisioned.json`` was tried there; the other folders came with a bundle,
or were replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from slmdeploy.device.script import script
from slmdeploy.errors import DeviceError
from slmdeploy.transport.base import Transport

__all__ = [
    "NUMPY",
    "RECORD",
    "InstalledRuntime",
    "RuntimePlaces",
    "find_runtime",
    "list_runtimes",
    "parse_places",
    "read_places",
    "record_text",
]

NUMPY: Final = "numpy"
"""Folder, below ``runtimes``, of the numpy that comes with a runtime."""
RECORD: Final = "provisioned.json"
"""The file that says which folder of a runtime is the one to use."""

_SCHEMA = "slmdeploy/runtime/1"
_LIST = r"""
# $1: our folder; $2: name of the record. Says: "folder NAME/DIGEST" and "record JSON".
for place in "$1"/runtimes/*/*; do
  case $place in *.part-*) continue ;; esac
  [ ! -d "$place" ] || printf 'folder %s\n' "${place#"$1"/runtimes/}"
done
for file in "$1"/runtimes/*/"$2"; do
  [ ! -f "$file" ] || { printf 'record '; tr -d '\n' <"$file"; echo; }
done
"""


@dataclass(frozen=True)
class InstalledRuntime:
    """A runtime that was made ready on a device. Paths are those of the device.

    Attributes:
        name: ``executorch``, ``litert`` or ``tflite-runtime``.
        version: Of the runtime; ``None`` where its runner does not say it.
        folder: Its files, absolute.
        python: The interpreter that it is made for; ``None`` for a native one.
        python_version: Of the interpreter, as in ``3.11.2``.
        python_path: What ``PYTHONPATH`` must have, absolute; empty for a native one.
        numpy: Version of the numpy that it uses.
        numpy_brought: Whether that numpy is ours; else it is the board's own.
    """

    name: str
    version: str | None
    folder: str
    python: str | None = None
    python_version: str | None = None
    python_path: tuple[str, ...] = ()
    numpy: str | None = None
    numpy_brought: bool = False

    @property
    def env(self) -> Mapping[str, str]:
        """What a process that uses it must have in its environment."""
        return {"PYTHONPATH": ":".join(self.python_path)} if self.python_path else {}


@dataclass(frozen=True)
class RuntimePlaces:
    """What lies below ``runtimes`` on a device.

    Attributes:
        folders: ``NAME/DIGEST12`` of each, ready or not.
        ready: The runtimes that were made ready, by name.
    """

    folders: tuple[str, ...]
    ready: tuple[InstalledRuntime, ...]

    def needed(self, *, but: str | None = None) -> frozenset[str]:
        """Folders that runtimes which were made ready consist of: not to be cleaned away.

        Args:
            but: Name of a runtime that is not counted.
        """
        entries = [entry for entry in self.ready if entry.name != but]
        paths = [path for entry in entries for path in (entry.folder, *entry.python_path)]
        return frozenset("/".join(path.rsplit("/", 2)[1:]) for path in paths)


def read_places(transport: Transport) -> RuntimePlaces:
    """Look what lies below ``runtimes`` on a device.

    Raises:
        ConnectError: It is away.
    """
    home = transport.home()
    said = transport.run(script(_LIST, home, RECORD), timeout=60.0)
    return parse_places(said.stdout, home)


def list_runtimes(transport: Transport) -> tuple[InstalledRuntime, ...]:
    """The runtimes that were made ready on a device, by name.

    Raises:
        ConnectError: It is away.
    """
    return read_places(transport).ready


def find_runtime(transport: Transport, name: str) -> InstalledRuntime:
    """Where a runtime is on a device.

    Args:
        transport: The way to the device.
        name: ``executorch``, ``litert`` or ``tflite-runtime``.

    Raises:
        DeviceError: It is not there; the message names the command that brings it.
    """
    found = {runtime.name: runtime for runtime in list_runtimes(transport)}
    if name not in found:
        raise DeviceError(
            f"{transport.name} does not have {name} yet.",
            hint=f"Run: slmdeploy devices provision {transport.name} --runtime {name}",
        )
    return found[name]


def parse_places(text: str, home: str) -> RuntimePlaces:
    """From what the script says; a record that is damaged or whose folder is gone is none."""
    lines = [line.partition(" ") for line in text.splitlines()]
    folders = tuple(rest for kind, _, rest in lines if kind == "folder")
    found = [_read(rest, folders, home) for kind, _, rest in lines if kind == "record"]
    ready = sorted(filter(None, found), key=lambda runtime: runtime.name)
    return RuntimePlaces(folders, tuple(ready))


def record_text(runtime: InstalledRuntime, home: str) -> str:
    """The record of a runtime; its paths are relative to the folder that slmdeploy owns."""
    below = f"{home}/runtimes/"
    path = [entry.removeprefix(below) for entry in runtime.python_path]
    said = {
        "schema": _SCHEMA,
        "name": runtime.name,
        "version": runtime.version,
        "folder": runtime.folder.removeprefix(below),
        "python": runtime.python,
        "python_version": runtime.python_version,
        "python_path": path,
        "numpy": runtime.numpy,
        "numpy_brought": runtime.numpy_brought,
    }
    return json.dumps(said, ensure_ascii=False) + "\n"


def _read(text: str, folders: Iterable[str], home: str) -> InstalledRuntime | None:
    try:
        said = json.loads(text)
        path = tuple(map(str, said["python_path"]))
        folder = str(said["folder"])
        if said["schema"] != _SCHEMA or not {folder, *path} <= set(folders):
            return None
        return InstalledRuntime(
            name=str(said["name"]),
            version=_optional(said["version"]),
            folder=f"{home}/runtimes/{folder}",
            python=_optional(said["python"]),
            python_version=_optional(said["python_version"]),
            python_path=tuple(f"{home}/runtimes/{entry}" for entry in path),
            numpy=_optional(said["numpy"]),
            numpy_brought=bool(said["numpy_brought"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _optional(value: object) -> str | None:
    return None if value is None else str(value)
