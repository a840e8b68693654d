"""Find target profiles and read them.

The profiles that come with slmdeploy are looked up last: a project's own ``targets/``
and every ``--targets-dir`` come before them, so a project may have its own idea of
``rpi5-executorch`` and still extend the shipped one of that name.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

import slmdeploy
from slmdeploy.errors import ProfileError, UnknownNameError
from slmdeploy.places import find_project
from slmdeploy.target.faults import foreign_option, unknown_key, wrong_value
from slmdeploy.target.profile import OPTIONS, TargetProfile

__all__ = [
    "TargetEntry",
    "find_target",
    "known_boards",
    "list_targets",
    "load_target",
    "search_dirs",
    "shipped_dir",
]


@dataclass(frozen=True)
class TargetEntry:
    """A profile's file; ``origin`` says whether it came with slmdeploy."""

    name: str
    path: Path
    origin: Literal["shipped", "own"]


@dataclass(frozen=True)
class _Layer:
    """One file of a chain of ``extends``: what it says itself."""

    path: Path
    data: dict[str, Any]


def shipped_dir() -> Path:
    """The folder of the profiles that come with slmdeploy.

    In a wheel it is inside the package; an editable installation has it beside it.
    """
    package = Path(slmdeploy.__file__).parent
    inside = package / "targets"
    return inside if inside.is_dir() else package.parent / "targets"


def search_dirs(dirs: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Folders to look in, in order: those given, the project's, the shipped one.

    Raises:
        ProfileError: A folder that was given does not exist.
    """
    for given in dirs:
        if not given.is_dir():
            raise ProfileError(f"There is no folder {str(given)!r} of targets.")
    shipped = shipped_dir().resolve()
    own = [path.resolve() for path in (*dirs, find_project().targets_dir)]
    return tuple(dict.fromkeys([*(path for path in own if path != shipped), shipped]))


def list_targets(dirs: Sequence[Path] = ()) -> tuple[TargetEntry, ...]:
    """All profiles that ``load_target`` would find by name, sorted by name."""
    found: dict[str, TargetEntry] = {}
    for entry in _entries(search_dirs(dirs)):
        found.setdefault(entry.name, entry)
    return tuple(found[name] for name in sorted(found))


def known_boards(dirs: Sequence[Path] = ()) -> tuple[str, ...]:
    """The boards that profiles are for, sorted; a profile with a fault is passed over."""
    boards = set()
    for entry in list_targets(dirs):
        with contextlib.suppress(ProfileError):
            boards.add(load_target(str(entry.path), dirs).board)
    return tuple(sorted(boards))


def find_target(name_or_path: str, dirs: Sequence[Path] = ()) -> TargetEntry:
    """The file of a profile, unread.

    Raises:
        UnknownNameError: There is no profile of that name.
        ProfileError: A path was given, and there is no such file.
    """
    if not name_or_path.endswith(".toml"):
        return _by_name(name_or_path, search_dirs(dirs))
    path = Path(name_or_path)
    if not path.is_file():
        raise ProfileError(f"There is no target profile {name_or_path!r}.")
    return TargetEntry(path.stem, path.resolve(), "own")


def load_target(name_or_path: str, dirs: Sequence[Path] = ()) -> TargetProfile:
    """Read a profile, with all that it extends.

    Args:
        name_or_path: A name of ``list_targets``, or a path that ends in ``.toml``.
        dirs: Further folders of profiles, looked at first.

    Raises:
        UnknownNameError: There is no profile of that name.
        ProfileError: A file cannot be read, has a wrong key or value, extends itself,
            or names a recipe that its runtime cannot run.
    """
    entry = find_target(name_or_path, dirs)
    layers = _chain(entry, search_dirs([entry.path.parent, *dirs]))
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        inherited = {key: value for key, value in merged.items() if key != "name"}
        merged = _merge(inherited, layer.data)
    merged.setdefault("name", entry.name)
    if merged["name"] != entry.name:
        raise ProfileError(
            f"{entry.path} says name = {merged['name']!r}, but the file's name makes it "
            f"{entry.name!r}.",
            hint="Rename the file, or leave the key out.",
        )
    said = [(layer.path, layer.data) for layer in layers]
    _check_options(merged, said)
    try:
        return TargetProfile.model_validate(merged)
    except ValidationError as error:
        raise wrong_value(error, said) from None


def _check_options(
    merged: Mapping[str, Any], said: Sequence[tuple[Path, Mapping[str, Any]]]
) -> None:
    """Say what is wrong with the exporter's options in their own words, not in a union's."""
    options, given = OPTIONS.get(str(merged.get("runtime"))), merged.get("export")
    if options is None or not isinstance(given, Mapping):
        return
    for key in given:
        if key not in options.model_fields:
            raise foreign_option(key, str(merged["runtime"]), options, said)
    try:
        options.model_validate(given)
    except ValidationError as error:
        raise wrong_value(error, said, below=("export",)) from None


def _entries(folders: Sequence[Path]) -> Iterator[TargetEntry]:
    shipped = shipped_dir().resolve()
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            yield TargetEntry(path.stem, path, "shipped" if folder == shipped else "own")


def _by_name(name: str, folders: Sequence[Path]) -> TargetEntry:
    entries = list(_entries(folders))
    for entry in entries:
        if entry.name == name:
            return entry
    raise UnknownNameError("target", name, {entry.name for entry in entries})


def _chain(entry: TargetEntry, folders: tuple[Path, ...]) -> list[_Layer]:
    """The profile and all its bases, the profile first."""
    layers: list[_Layer] = []
    here: TargetEntry | None = entry
    while here is not None:
        if any(layer.path == here.path for layer in layers):
            names = " -> ".join(layer.path.stem for layer in layers)
            raise ProfileError(f"Target profiles extend each other: {names} -> {here.name}.")
        data = _read(here.path)
        base = data.pop("extends", None)
        layers.append(_Layer(here.path, data))
        here = None if base is None else _base(base, here, folders)
    return layers


def _base(name: object, entry: TargetEntry, folders: tuple[Path, ...]) -> TargetEntry:
    if not isinstance(name, str):
        raise ProfileError(f"{entry.path}: extends = {name!r} should be the name of a target.")
    # A profile that extends its own name means the one that it hides.
    after = folders.index(entry.path.parent) + 1 if name == entry.name else 0
    try:
        return _by_name(name, folders[after:])
    except UnknownNameError as error:
        if name == entry.name:
            raise ProfileError(f"{entry.path} extends itself.") from None
        raise ProfileError(
            f"{entry.path} extends {name!r}, and there is no such target.", hint=error.hint
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path} is not TOML: {error}.") from error
    fault = unknown_key(path, data)
    if fault is not None:
        raise fault
    return data


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; everything else is replaced, lists too."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]
    return merged
