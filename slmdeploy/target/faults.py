"""What is wrong with a profile, said with the file, the key and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from slmdeploy.errors import ProfileError
from slmdeploy.target.profile import TargetProfile

__all__ = ["foreign_option", "unknown_key", "wrong_value"]

_OWN_KEYS = ("extends",)


def unknown_key(path: Path, data: Mapping[str, Any]) -> ProfileError | None:
    """The first key of a file that a profile does not have; ``None`` if all are known."""
    return _unknown(path, data, [TargetProfile], ())


def foreign_option(
    key: str,
    runtime: str,
    options: type[BaseModel],
    layers: Sequence[tuple[Path, Mapping[str, Any]]],
) -> ProfileError:
    """An option in ``export`` that another runtime's exporter has."""
    place = ["export", key]
    path = next((path for path, data in layers if _has(data, place)), layers[0][0])
    return ProfileError(
        f"{path}: export.{key} is not an option of runtime {runtime!r}.",
        hint=f"Known here: {', '.join(sorted(options.model_fields))}.",
    )


def wrong_value(
    error: ValidationError,
    layers: Sequence[tuple[Path, Mapping[str, Any]]],
    *,
    below: Sequence[str] = (),
) -> ProfileError:
    """Turn pydantic's first complaint into one that names the file.

    Args:
        error: What pydantic said.
        layers: The files of a chain of ``extends`` and what each says, the profile first;
            the fault is laid to the first that has the key.
        below: Where the value that pydantic complained of stands in the profile.
    """
    first = error.errors()[0]
    location = [*below, *(str(part) for part in first["loc"])]
    path = next((path for path, data in layers if _has(data, location)), layers[0][0])
    key = ".".join(location)
    message = _sentence(first["msg"])
    if first["type"] == "missing":
        return ProfileError(
            f"{path}: key {key!r} is missing.", hint="Set it, or name a base with extends."
        )
    if not location:
        return ProfileError(f"{path}: {message}.")
    return ProfileError(f"{path}: {key} = {first['input']!r}: {message}.")


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ").rstrip(".")
    return message[:1].lower() + message[1:] if message.startswith("Input ") else message


def _has(data: Any, location: Sequence[str]) -> bool:
    for part in location:
        if not isinstance(data, Mapping) or part not in data:
            return False
        data = data[part]
    return bool(location)


def _unknown(
    path: Path, data: Mapping[str, Any], models: Sequence[type[BaseModel]], above: tuple[str, ...]
) -> ProfileError | None:
    fields = dict.fromkeys(name for model in models for name in model.model_fields)
    allowed = [*fields, *(() if above else _OWN_KEYS)]
    for key, value in data.items():
        here = (*above, key)
        if key not in allowed:
            return _fault(path, here, allowed)
        inner = [table for model in models for table in _tables(model, key)]
        if inner and isinstance(value, Mapping):
            fault = _unknown(path, value, inner, here)
            if fault is not None:
                return fault
    return None


def _tables(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    """The models that a key's table may be of; empty where the key is not one."""
    field = model.model_fields.get(key)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _fault(path: Path, key: tuple[str, ...], allowed: Sequence[str]) -> ProfileError:
    near = difflib.get_close_matches(key[-1], allowed, n=1)
    suggestion = f"Did you mean {near[0]!r}? " if near else ""
    return ProfileError(
        f"{path}: unknown key {'.'.join(key)!r}.",
        hint=f"{suggestion}Known here: {', '.join(sorted(allowed))}.",
    )
