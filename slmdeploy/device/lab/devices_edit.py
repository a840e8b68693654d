"""``devices.toml`` changed in place: comments, order and blank lines stay as they are.

What comes out is read again and compared before it is given, so that a file whose form
the editor does not understand is refused and never damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from slmdeploy.device.lab.devices_toml import device_values, parse_devices, to_toml
from slmdeploy.device.types import Device
from slmdeploy.errors import ProfileError
from slmdeploy.transport.files import placed

__all__ = ["with_device", "with_host_key", "without_device", "write_devices"]

Document = MutableMapping[str, Any]


def with_device(text: str, device: Device, file: Path) -> str:
    """The text of an inventory with one device more; one of that name is replaced.

    Args:
        text: The file as it is; empty for a new one.
        device: What to add.
        file: Where it stands, for messages and a relative ``identity_file``.

    Raises:
        ProfileError: The text has a fault, or a form that cannot be edited.
    """

    def change(document: Document) -> None:
        devices = document.setdefault("devices", tomlkit.table(is_super_table=True))
        inline = isinstance(devices, InlineTable)
        table: Any = tomlkit.inline_table() if inline else tomlkit.table()
        for key, value in device_values(device).items():
            table[key] = _item(value)
        if not inline and _last_needs_blank(text):
            table.trivia.indent = "\n"
        devices[device.name] = table

    return _edited(text, file, change, lambda known: {**known, device.name: device})


def with_host_key(text: str, name: str, host_key: str, file: Path) -> str:
    """The text of an inventory with another pinned host key for a device.

    Raises:
        ProfileError: As ``with_device``.
    """

    def change(document: Document) -> None:
        document["devices"][name]["host_key"] = host_key

    return _edited(
        text,
        file,
        change,
        lambda known: {**known, name: replace(known[name], host_key=host_key)},
    )


def without_device(text: str, name: str, file: Path) -> str:
    """The text of an inventory without a device.

    Raises:
        ProfileError: As ``with_device``.
    """

    def change(document: Document) -> None:
        del document["devices"][name]

    def wanted(known: Mapping[str, Device]) -> dict[str, Device]:
        return {key: device for key, device in known.items() if key != name}

    return _edited(text, file, change, wanted)


def write_devices(file: Path, text: str) -> None:
    """Put the text in the file's place, whole or not at all; its permissions stay.

    Raises:
        ProfileError: It cannot be written.
    """
    real = file.resolve()  # a link into a folder of dotfiles stays one
    try:
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        with placed(real) as part:
            part.write_text(text, encoding="utf-8")
            part.chmod(mode)
    except OSError as error:
        raise ProfileError(f"{file} cannot be written: {error.strerror or error}.") from error


def _edited(
    text: str,
    file: Path,
    change: Callable[[Document], None],
    wanted: Callable[[Mapping[str, Device]], Mapping[str, Device]],
) -> str:
    expected = wanted(parse_devices(text, file))
    try:
        document = tomlkit.parse(text)
        change(document)
        edited = tomlkit.dumps(document)
        if parse_devices(edited, file) == expected:
            return edited
    except (TOMLKitError, ProfileError, KeyError, TypeError, AttributeError):
        pass  # told below, with what to do
    raise ProfileError(
        f"{file} has a form that slmdeploy cannot edit without risk.",
        hint=f"Change it by hand. It should say the same as:\n{to_toml(expected.values())}",
    )


def _last_needs_blank(text: str) -> bool:
    return bool(text.strip()) and not text.endswith("\n\n")


def _item(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    table.update(value)
    return table
