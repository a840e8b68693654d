"""The lab's inventory: boards as data, in ``devices.toml``.

The project's file and the user's are read together; of two devices with one name the
project's wins. The device ``local`` (this computer) always exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slmdeploy.device.lab.devices_toml import read_devices
from slmdeploy.device.project import Project, find_project, user_devices_file
from slmdeploy.device.types import Device
from slmdeploy.errors import UnknownNameError

__all__ = ["LOCAL", "Device", "Inventory", "load_inventory"]

LOCAL = Device(name="local", transport="local", board="local")
ALL = "all"


@dataclass(frozen=True)
class Inventory:
    """The devices that are known.

    Attributes:
        devices: By name; ``local`` comes first.
        files: The files that were read; of two, the later wins.
        sources: The file in which each device stands; ``local`` stands in none.
    """

    devices: Mapping[str, Device]
    files: tuple[Path, ...] = field(default=())
    sources: Mapping[str, Path] = field(default_factory=dict)

    def select(self, selectors: Iterable[str]) -> tuple[Device, ...]:
        """Devices that any of the selectors names, each once, in the order named.

        Args:
            selectors: A name; ``board=rpi5``; ``label=value`` for any label; ``all``
                for every device but ``local``, which is meant only when it is named.

        Raises:
            UnknownNameError: A selector names no device.
        """
        chosen: dict[str, Device] = {}
        for selector in selectors:
            chosen.update((device.name, device) for device in self._matching(selector))
        return tuple(chosen.values())

    def get(self, name: str) -> Device:
        """The device with this name.

        Raises:
            UnknownNameError: There is none.
        """
        if name not in self.devices:
            raise UnknownNameError("device", name, self.devices)
        return self.devices[name]

    def _matching(self, selector: str) -> list[Device]:
        if selector in self.devices:
            return [self.devices[selector]]
        lab = [device for device in self.devices.values() if device.name != LOCAL.name]
        if selector == ALL:
            found = lab
        elif "=" in selector:
            key, _, value = selector.partition("=")
            found = [d for d in self.devices.values() if _has(d, key.strip(), value.strip())]
        else:
            found = []
        if not found:
            raise self._unknown(selector)
        return found

    def _unknown(self, selector: str) -> UnknownNameError:
        if selector == ALL:
            hint = "The inventory has no board yet. Run: slmdeploy devices add NAME HOST"
            return UnknownNameError("device", selector, self.devices, hint=hint)
        if "=" in selector:
            labels = {f"{k}={v}" for d in self.devices.values() for k, v in _labels(d).items()}
            return UnknownNameError("label", selector, labels)
        return UnknownNameError("device", selector, self.devices)


def load_inventory(project: Project | None = None, *, user_file: Path | None = None) -> Inventory:
    """Read the project's inventory and the user's.

    Args:
        project: By default the one of the current folder.
        user_file: By default ``devices.toml`` in the user's configuration folder.

    Raises:
        ProfileError: A file cannot be read, or has a fault.
    """
    candidates = (user_file or user_devices_file(), (project or find_project()).devices_file)
    files = tuple(file for file in candidates if file.is_file())
    devices = {LOCAL.name: LOCAL}
    sources: dict[str, Path] = {}
    for file in files:
        found = read_devices(file)
        devices.update(found)
        sources.update(dict.fromkeys(found, file))
    return Inventory(devices, files, sources)


def _labels(device: Device) -> dict[str, str]:
    own = {"board": device.board} if device.board else {}
    return {**device.labels, **own}


def _has(device: Device, key: str, value: str) -> bool:
    return _labels(device).get(key) == value
