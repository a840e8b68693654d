"""The project's places, under the name that this room uses; see ``slmdeploy.places``."""

from __future__ import annotations

from slmdeploy.places import (
    DEVICES_FILE,
    PROJECT_FILE,
    Project,
    cache_dir,
    find_project,
    user_devices_file,
)

__all__ = [
    "DEVICES_FILE",
    "PROJECT_FILE",
    "Project",
    "cache_dir",
    "find_project",
    "user_devices_file",
]
