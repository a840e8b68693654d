"""The command ``slmdeploy``: a group that loads a command's module when it is used.

The help texts stand here, so that ``slmdeploy --help`` imports no command at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from slmdeploy.cli.errors import guarded
from slmdeploy.errors import UnknownNameError

__all__ = ["COMMANDS", "COMPLETE_VARIABLE", "App", "CommandInfo", "app", "run"]

COMPLETE_VARIABLE = "_SLMDEPLOY_COMPLETE"


@dataclass(frozen=True)
class CommandInfo:
    """Where a command is found (``module:attribute``), and its line in the help."""

    where: str
    help: str


def _command(module: str, text: str) -> CommandInfo:
    return CommandInfo(f"slmdeploy.cli.{module}:command", text)


# In the order of the work.
COMMANDS: Mapping[str, CommandInfo] = {
    "inspect": _command("inspect", "Say what a model is and which targets it would fit."),
    "fetch": _command("fetch", "Download the demo model or a model of the hub."),
    "export": _command("export", "Compress and export a model for one or more targets."),
    "verify": _command("verify", "Prove that a bundle still computes the same function."),
    "push": _command("push", "Bring a bundle and its runner to a device."),
    "generate": _command("generate", "Answer a prompt on a device."),
    "bench": _command("bench", "Measure a bundle on a device and keep the record."),
    "run": _command("run", "Export, verify, push and measure in one go."),
    "report": _command("report", "Print measurements as a table, Markdown, JSON or CSV."),
    "runs": _command("runs", "List and show stored measurements."),
    "targets": _command("targets", "List, show, write and check target profiles."),
    "devices": _command("devices", "List and show the devices of the lab."),
    "bundle": _command("bundle", "Show, pack and unpack bundles."),
    "doctor": _command("doctor", "Check whether this computer can do the work."),
    "cache": _command("cache", "Show and clean what is kept to save time."),
    "completion": _command("completion", "Print the shell completion script."),
}


class App(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the work."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; ``None`` if there is none of that name."""
        del ctx
        info = COMMANDS.get(cmd_name)
        if info is None:
            return None
        module, attribute = info.where.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is answered with the nearest."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, info.help) for name, info in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [
            CompletionItem(name, help=info.help)
            for name, info in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *options]

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """As ``run``, but ends the process; what click's test runner calls."""
        del extra
        raise SystemExit(run(list(args or ())))


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001
    del parameter
    if value:
        from importlib.metadata import version

        click.echo(f"slmdeploy {version('slmdeploy')}")
        ctx.exit()


@click.group(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a bar failed, 2 usage, 3 this model, 4 a device, "
    "5 undecided, 6 this computer, 70 a bug, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Print the version and exit.",
)
def app() -> None:
    """Take a compressed PyTorch small language model to a measured artifact on a board.

    All of it at once, on this computer:

        slmdeploy run demo --target local-executorch --fetch
    """


def run(argv: Sequence[str]) -> int:
    """Run a command line; gives the exit code, prints errors and raises none."""
    asked = os.environ.get(COMPLETE_VARIABLE)
    if asked:
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "slmdeploy", COMPLETE_VARIABLE, asked)
    return guarded(lambda: _invoke(list(argv)), argv)


def _invoke(argv: list[str]) -> int:
    with app.make_context("slmdeploy", argv) as context:
        code = app.invoke(context)
    return code if isinstance(code, int) else 0
