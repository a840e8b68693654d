"""Where things are kept on this computer.

The project is the nearest folder upward that holds ``slmdeploy.toml``, else the current
one; caches, state and the user's own inventory go where the platform wants them.
``SLMDEPLOY_CACHE_DIR``, ``SLMDEPLOY_CONFIG_DIR`` and ``SLMDEPLOY_STATE_DIR`` move them.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["PROJECT_FILE", "cache_dir", "config_dir", "project_root", "records_path", "state_dir"]

PROJECT_FILE = "slmdeploy.toml"
_APP = "slmdeploy"


def project_root(start: Path | None = None) -> Path:
    """The project's folder, absolute.

    Args:
        start: Where to look from; by default the current folder.
    """
    here = (start or Path.cwd()).absolute()
    return next((p for p in (here, *here.parents) if (p / PROJECT_FILE).is_file()), here)


def records_path(start: Path | None = None) -> Path:
    """The project's database of records."""
    return project_root(start) / ".slmdeploy" / "records.db"


def cache_dir() -> Path:
    """What can be made or fetched again: runners, downloads, finished export steps."""
    return _place("cache")


def config_dir() -> Path:
    """What the user wrote: the inventory of devices."""
    return _place("config")


def state_dir() -> Path:
    """What is kept from run to run and is not the user's: tracebacks."""
    return _place("state")


def _place(kind: str) -> Path:
    moved = os.environ.get(f"SLMDEPLOY_{kind.upper()}_DIR")
    if moved:
        return Path(moved).expanduser().absolute()
    import platformdirs

    found: Path = getattr(platformdirs, f"user_{kind}_path")(_APP, appauthor=False)
    return found
