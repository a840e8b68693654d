"""``devices.toml``: read with every fault named, and written.

::

    [devices.pi5-a]
    host = "10.0.0.5"
    user = "lab"
    board = "rpi5"
    host_key = "ssh-ed25519 AAAA..."
    labels = { room = "b12" }
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from slmdeploy.device.types import Device
from slmdeploy.errors import ProfileError

__all__ = ["check_name", "device_values", "parse_devices", "read_devices", "to_toml"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESERVED = frozenset({"all"})


def read_devices(file: Path) -> dict[str, Device]:
    """Devices of a file, by name.

    Raises:
        ProfileError: The file cannot be read, or has a fault.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{file} cannot be read: {error}.") from error
    return parse_devices(text, file)


def parse_devices(text: str, file: Path) -> dict[str, Device]:
    """Devices of a file's text, by name.

    Args:
        text: TOML.
        file: Where it stands, for messages; a relative ``identity_file`` is seen
            from its folder.

    Raises:
        ProfileError: It is not TOML, or has an unknown key or a value of a wrong type.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{file} is not valid TOML: {error}.") from error
    _refuse_unknown(document, ["devices"], str(file))
    tables = document.get("devices", {})
    if not isinstance(tables, dict):
        raise ProfileError(f"{file}: 'devices' must be a table, as in [devices.pi5-a].")
    return {name: _device(name, table, file) for name, table in tables.items()}


def device_values(device: Device) -> dict[str, Any]:
    """What a file says of a device, in the order of the keys; nothing that goes unsaid."""
    values = {key: getattr(device, key) for key in _KEYS}
    values["labels"] = dict(device.labels)
    if device.identity_file is not None:
        values["identity_file"] = str(device.identity_file)
    if device.transport == "ssh":
        del values["transport"]
    return {key: value for key, value in values.items() if value is not None and value != {}}


def check_name(name: str) -> None:
    """Whether a device may have this name.

    Raises:
        ProfileError: It may not.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ProfileError(
            f"{name!r} cannot be the name of a device.",
            hint="Use letters, digits, '.', '_' and '-'; 'all' stands for every board.",
        )


def to_toml(devices: Iterable[Device]) -> str:
    """The text of an inventory; ``parse_devices`` gives the same devices back."""
    return "\n".join(_table(device) for device in devices)


def _device(name: str, table: Any, file: Path) -> Device:
    where = f"{file}: [devices.{name}]"
    try:
        check_name(name)
    except ProfileError as error:
        raise ProfileError(f"{file}: {error.message}", hint=error.hint) from error
    if not isinstance(table, dict):
        raise ProfileError(f"{where} must be a table.")
    _refuse_unknown(table, _KEYS, where)
    values = {key: _KEYS[key](value, f"{where} {key}") for key, value in table.items()}
    if "identity_file" in values:
        values["identity_file"] = file.parent / Path(values["identity_file"]).expanduser()
    device = Device(name=name, **values)
    if device.transport == "ssh" and device.host is None:
        raise ProfileError(f"{where} has no 'host'.", hint='Add, for example: host = "10.0.0.5"')
    return device


def _refuse_unknown(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    names = sorted(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            suggestion = f"Did you mean {near[0]!r}? " if near else ""
            raise ProfileError(
                f"{where} has an unknown key {key!r}.",
                hint=f"{suggestion}Known: {', '.join(names)}.",
            )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ProfileError(f"{where} must be a text on one line, not {value!r}.")
    return value


def _host(value: Any, where: str) -> str:
    host = _text(value, where)
    if "@" in host or " " in host:
        raise ProfileError(
            f"{where} must be a host name or an address, not {host!r}.",
            hint="The user and the port have keys of their own: user, port.",
        )
    return host


def _port(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise ProfileError(f"{where} must be a number from 1 to 65535, not {value!r}.")
    return value


def _host_key(value: Any, where: str) -> str:
    words = _text(value, where).split()
    if len(words) < 2 or words[0].startswith("SHA256:"):
        raise ProfileError(
            f"{where} must be a key type and a key, as in 'ssh-ed25519 AAAA...', not {value!r}.",
            hint="Leave it out, and run: slmdeploy devices trust NAME",
        )
    return f"{words[0]} {words[1]}"


def _labels(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ProfileError(f'{where} must be a table, as in labels = {{ room = "b12" }}.')
    return {key: _text(item, f"{where}.{key}") for key, item in value.items()}


_KEYS: dict[str, Callable[[Any, str], Any]] = {
    "transport": _text,
    "host": _host,
    "port": _port,
    "user": _text,
    "board": _text,
    "identity_file": _text,
    "host_key": _host_key,
    "labels": _labels,
}


def _table(device: Device) -> str:
    lines = [f"[devices.{_quoted(device.name)}]"]
    lines += [f"{key} = {_value(value)}" for key, value in device_values(device).items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        inside = ", ".join(f"{_quoted(key)} = {_quoted(item)}" for key, item in value.items())
        return f"{{ {inside} }}"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, as long as nothing is written as a surrogate pair.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
