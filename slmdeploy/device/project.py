"""Places: the project's folder and what lies in it, the caches, the user's inventory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

__all__ = [
    "DEVICES_FILE",
    "PROJECT_FILE",
    "Project",
    "cache_dir",
    "find_project",
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
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return Project(folder)
    return Project(here)


def user_devices_file() -> Path:
    """The inventory in the user's configuration; need not exist."""
    return platformdirs.user_config_path("slmdeploy") / DEVICES_FILE


def cache_dir() -> Path:
    """What can be made again: built runners, fetched models. Need not exist."""
    return platformdirs.user_cache_path("slmdeploy")
