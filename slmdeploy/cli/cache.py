"""``slmdeploy cache show|clean``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from slmdeploy.cli.console import Console, bytes_text, table_text
from slmdeploy.cli.options import common, dry_run_option

if TYPE_CHECKING:
    from slmdeploy.cache import CacheKind

__all__ = ["command"]


def _kinds(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    del ctx, parameter
    from slmdeploy.cache import KINDS

    return [CompletionItem(n, help=t) for n, t in KINDS.items() if n.startswith(incomplete)]


@click.group("cache")
def command() -> None:
    """Show and clean what is kept to save time; all of it can be made again."""


@command.command("show")
@common
def show(*, console: Console) -> None:
    """Show what is in the cache, by kind."""
    from slmdeploy.cache import survey
    from slmdeploy.places import cache_dir

    kinds = survey()
    console.show(
        "slmdeploy/cache-show/1",
        {"path": cache_dir(), "kinds": kinds},
        lambda: f"{cache_dir()}\n{_text(kinds)}",
    )


@command.command("clean", short_help="Remove things from the cache, by kind or all.")
@click.argument("kinds", metavar="[KIND]...", nargs=-1, shell_complete=_kinds)
@dry_run_option
@common
def clean(*, console: Console, kinds: tuple[str, ...], dry_run: bool) -> None:
    """Remove these kinds of things from the cache; all where none is named."""
    from slmdeploy.cache import clean as remove

    gone = remove(kinds, dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"

    def text() -> str:
        total = bytes_text(sum(kind.bytes for kind in gone))
        return f"{_text(gone)}\n{total} {verb}." if gone else "Nothing to remove."

    console.show("slmdeploy/cache-clean/1", {"dry_run": dry_run, "removed": gone}, text)


def _text(kinds: Sequence[CacheKind]) -> str:
    rows = [(kind.name, kind.files, bytes_text(kind.bytes), kind.description) for kind in kinds]
    return table_text(["kind", "files", "size", "what"], rows)
