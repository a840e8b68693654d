"""A group of commands whose modules are loaded when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from slmdeploy.errors import UnknownNameError

__all__ = ["CommandInfo", "LazyGroup", "command_info"]


@dataclass(frozen=True)
class CommandInfo:
    """Where a command is found (``module:attribute``), and its line in the help."""

    where: str
    help: str


def command_info(module: str, text: str) -> CommandInfo:
    """The command of a module below ``slmdeploy.cli``."""
    return CommandInfo(f"slmdeploy.cli.{module}:command", text)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used.

    The help texts stand in ``infos``, so that ``--help`` imports no command at all.

    Args:
        infos: Its commands by name, in the order in which the help shows them.
        given: What ``click.Group`` takes.
    """

    def __init__(self, *, infos: Mapping[str, CommandInfo], **given: Any) -> None:
        super().__init__(**given)
        self.infos = infos

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of ``infos``."""
        del ctx
        return list(self.infos)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; ``None`` if there is none of that name."""
        del ctx
        info = self.infos.get(cmd_name)
        if info is None:
            return None
        module, attribute = info.where.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is answered with the nearest."""
        if args and not args[0].startswith("-") and args[0] not in self.infos:
            raise UnknownNameError("command", args[0], self.infos)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, info.help) for name, info in self.infos.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [
            CompletionItem(name, help=info.help)
            for name, info in self.infos.items()
            if name.startswith(incomplete)
        ]
        return [*names, *options]
