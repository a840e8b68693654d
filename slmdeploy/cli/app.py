"""The command ``slmdeploy``: a group that loads a command's module when it is used.

The help texts stand here, so that ``slmdeploy --help`` imports no command at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from slmdeploy.cli.errors import guarded
from slmdeploy.cli.lazy import CommandInfo, LazyGroup, command_info

__all__ = ["COMMANDS", "COMPLETE_VARIABLE", "App", "app", "run"]

COMPLETE_VARIABLE = "_SLMDEPLOY_COMPLETE"


# In the order of the work.
COMMANDS: Mapping[str, CommandInfo] = {
    "inspect": command_info("inspect", "Say what a model is and which targets it would fit."),
    "fetch": command_info("fetch", "Download the demo model or a model of the hub."),
    "export": command_info("export", "Compress and export a model for one or more targets."),
    "verify": command_info("verify", "Prove that a bundle still computes the same function."),
    "push": command_info("push", "Bring a bundle and its runner to a device."),
    "generate": command_info("generate", "Answer a prompt on a device."),
    "bench": command_info("bench", "Measure a bundle on a device and keep the record."),
    "run": command_info("run", "Export, verify, push and measure in one go."),
    "report": command_info("report", "Print measurements as a table, Markdown, JSON or CSV."),
    "runs": command_info("runs", "List, show and import measurements."),
    "targets": command_info("targets", "List, show, write and check target profiles."),
    "devices": command_info("devices.group", "Keep the lab's boards: add, check, clean up."),
    "bundle": command_info("bundle", "Show, pack and unpack bundles."),
    "doctor": command_info("doctor", "Check this computer, or whether a device will run a bundle."),
    "cache": command_info("cache", "Show and clean what is kept to save time."),
    "completion": command_info("completion", "Print the shell completion script."),
}


class App(LazyGroup):
    """The whole command line."""

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
    infos=COMMANDS,
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
