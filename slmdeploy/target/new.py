"""Write a profile of one's own to start from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slmdeploy.errors import HostError, ProfileError
from slmdeploy.places import find_project
from slmdeploy.target.load import load_target
from slmdeploy.target.schema import SCHEMA_NAME, schema_text

__all__ = ["PlannedProfile", "plan_profile", "write_profile"]


@dataclass(frozen=True)
class PlannedProfile:
    """A file to be written."""

    path: Path
    text: str


def plan_profile(name: str, base: str, dirs: Sequence[Path] = ()) -> PlannedProfile:
    """Choose the file of a new profile and what stands in it.

    Args:
        name: Of the new profile.
        base: The profile that it extends.
        dirs: Folders of profiles; the new one goes into the first, else into the
            project's ``targets``.

    Raises:
        ProfileError: The name cannot be one of a target.
        UnknownNameError: There is no such base.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ProfileError(
            f"{name!r} cannot be the name of a target.",
            hint="Use small letters, digits, dots, dashes and underscores.",
        )
    profile = load_target(base, dirs)
    folder = dirs[0] if dirs else find_project().targets_dir
    lines = [
        f"#:schema ./{SCHEMA_NAME}",
        f'extends = "{profile.name}"',
        f'description = "{name}, as {profile.name}"',
        "# What is not set here is as in the profile that it extends; to see all of it:",
        f"#   slmdeploy targets show {name}",
        f'# board = "{profile.board}"',
        f'# recipe = "{profile.recipe.name}"',
        f'# glibc = "{profile.glibc or "2.31"}"',
        f"# threads = {profile.threads or 4}",
        "",
        "# [limits]",
        '# ram_bytes = "8 GiB"',
    ]
    return PlannedProfile(folder / f"{name}.toml", "\n".join(lines) + "\n")


def write_profile(planned: PlannedProfile) -> None:
    """Write the profile, and the schema for editors beside it if there is none.

    Raises:
        HostError: The folder cannot be written.
    """
    schema = planned.path.parent / SCHEMA_NAME
    try:
        planned.path.parent.mkdir(parents=True, exist_ok=True)
        planned.path.write_text(planned.text, encoding="utf-8")
        if not schema.exists():
            schema.write_text(schema_text(), encoding="utf-8")
    except OSError as error:
        raise HostError(f"{error.filename} cannot be written: {error.strerror}.") from error
