"""Where things are on this computer: the project, the caches, the user's inventory.

The project is the nearest folder upward that holds ``slmdeploy.toml``, else the current
one. The rest goes where the platform wants it; ``SLMDEPLOY_CACHE_DIR``,
``SLMDEPLOY_CONFIG_DIR`` and ``SLMDEPLOY_STATE_DIR`` move it elsewhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "DEVICES_FILE",
    "PROJECT_FILE",
    "Project",
    "cache_dir",
    "find_project",
    "state_dir",
    "user_devices_file",
]

PROJECT_FILE = "slmdeploy.toml"
DEVICES_FILE = "devices.toml"


@dataclass(frozen=True)
class Project:
    """A project, named by its folder.

    Attributes:
        root: Absolute path of the folder.
    """

    root: Path

    @property
    def records_path(self) -> Path:
        """The database of records."""
        return self.root / ".slmdeploy" / "records.db"

    @property
    def bundles_dir(self) -> Path:
        """Where bundles go unless told otherwise."""
        return self.root / "bundles"

    @property
    def targets_dir(self) -> Path:
        """Target profiles of the project's own."""
        return self.root / "targets"

    @property
    def devices_file(self) -> Path:
        """The project's inventory; need not exist."""
        return self.root / DEVICES_FILE


def find_project(start: Path | None = None) -> Project:
    """The nearest folder upward with ``slmdeploy.toml``, else the starting one.

    Args:
        start: Where to begin; by default the current folder.
    """
    here = (start or Path.cwd()).absolute()
    above = (folder for folder in (here, *here.parents) if (folder / PROJECT_FILE).is_file())
    return Project(next(above, here))


def user_devices_file() -> Path:
    """The inventory in the user's configuration; need not exist."""
    return _place("config") / DEVICES_FILE


def cache_dir() -> Path:
    """What can be made or fetched again: runners, models, steps of an export.

    Each kind has a folder of its own in it, which ``slmdeploy cache show`` lists. Need
    not exist.
    """
    return _place("cache")


def state_dir() -> Path:
    """What is kept from run to run and is nobody's work: tracebacks. Need not exist."""
    return _place("state")


def _place(kind: str) -> Path:
    moved = os.environ.get(f"SLMDEPLOY_{kind.upper()}_DIR")
    if moved:
        return Path(moved).expanduser().absolute()
    import platformdirs

    found: Path = getattr(platformdirs, f"user_{kind}_path")("slmdeploy")
    return found
