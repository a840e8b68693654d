"""``slmdeploy targets list|show|new|validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain, table_text
from slmdeploy.cli.errors import error_payload
from slmdeploy.cli.options import (
    common,
    complete_target,
    dry_run_option,
    targets_dir_option,
)
from slmdeploy.errors import SlmdeployError, UsageError

if TYPE_CHECKING:
    from slmdeploy.target.load import TargetEntry
    from slmdeploy.target.profile import TargetProfile

__all__ = ["command"]

_name_argument = click.argument("name", shell_complete=complete_target)


@click.group("targets")
def command() -> None:
    """List, show, write and check target profiles."""


@command.command("list")
@targets_dir_option
@common
def list_targets(*, console: Console, targets_dirs: tuple[Path, ...]) -> None:
    """List all targets; one with a fault is listed with it."""
    from slmdeploy.target import load

    rows = [_attempt(entry, targets_dirs) for entry in load.list_targets(targets_dirs)]
    console.show(
        "slmdeploy/targets-list/1",
        {"targets": [_document(*row) for row in rows]},
        lambda: table_text(
            ["target", "board", "runtime", "recipe", "origin", "description"],
            [_row(*row) for row in rows],
        ),
    )


@command.command("show")
@_name_argument
@targets_dir_option
@common
def show(*, console: Console, name: str, targets_dirs: tuple[Path, ...]) -> None:
    """Show the target NAME (or file) whole, with all that it extends."""
    from slmdeploy.target.load import find_target, load_target
    from slmdeploy.target.write import to_toml

    entry = find_target(name, targets_dirs)
    profile = load_target(name, targets_dirs)
    text = to_toml(profile.model_dump(exclude_none=True)).rstrip()
    console.show(
        "slmdeploy/targets-show/1",
        {"target": plain(profile), "path": entry.path, "origin": entry.origin},
        lambda: f"# {entry.path}\n{text}",
    )


@command.command("new")
@click.argument("name")
@click.option(
    "--extends",
    "base",
    metavar="TARGET",
    default="local-executorch",
    show_default=True,
    shell_complete=complete_target,
    help="What it starts from.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@targets_dir_option
@dry_run_option
@common
def new(
    *,
    console: Console,
    name: str,
    base: str,
    force: bool,
    targets_dirs: tuple[Path, ...],
    dry_run: bool,
) -> None:
    """Write a profile NAME into ./targets (or the first --targets-dir) to be filled in."""
    from slmdeploy.target.new import plan_profile, write_profile

    planned = plan_profile(name, base, targets_dirs)
    if planned.path.exists() and not force:
        raise UsageError(f"{planned.path} is there already.", hint="Write over it with --force.")
    if not dry_run:
        write_profile(planned)
    verb = "Would write" if dry_run else "Wrote"
    console.show(
        "slmdeploy/targets-new/1",
        {"name": name, "path": planned.path, "text": planned.text, "dry_run": dry_run},
        lambda: f"{verb} {planned.path}" + (f"\n\n{planned.text}" if dry_run else ""),
    )


@command.command("validate")
@click.argument("names", metavar="[NAME|FILE]...", nargs=-1, shell_complete=complete_target)
@targets_dir_option
@common
def validate(*, console: Console, names: tuple[str, ...], targets_dirs: tuple[Path, ...]) -> int:
    """Check profiles: those named, or all; every fault is told, not only the first file's."""
    from slmdeploy.target import load

    entries = [load.find_target(name, targets_dirs) for name in names]
    rows = [_attempt(entry, targets_dirs) for entry in entries or load.list_targets(targets_dirs)]
    faults = [fault for _, _, fault in rows if fault is not None]
    console.show(
        "slmdeploy/targets-validate/1",
        {"ok": not faults, "targets": [_document(*row) for row in rows]},
        lambda: "\n".join(f"{e.name}: {'ok' if f is None else f}" for e, _, f in rows),
    )
    return max((fault.exit_code for fault in faults), default=0)


_Attempt = tuple["TargetEntry", "TargetProfile | None", SlmdeployError | None]


def _attempt(entry: TargetEntry, dirs: tuple[Path, ...]) -> _Attempt:
    from slmdeploy.target.load import load_target

    try:
        return entry, load_target(str(entry.path), dirs), None
    except SlmdeployError as error:
        return entry, None, error


def _document(
    entry: TargetEntry, profile: TargetProfile | None, error: SlmdeployError | None
) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "origin": entry.origin,
        "profile": plain(profile),
        "error": None if error is None else error_payload(error),
    }


def _row(
    entry: TargetEntry, profile: TargetProfile | None, error: SlmdeployError | None
) -> tuple[str | None, ...]:
    if profile is None:
        return entry.name, None, None, None, entry.origin, f"fault: {error and error.message}"
    recipe = profile.recipe.name
    return entry.name, profile.board, profile.runtime, recipe, entry.origin, profile.description
