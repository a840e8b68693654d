"""``slmdeploy completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from slmdeploy.errors import UsageError

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: slmdeploy completion bash > ~/.local/share/bash-completion/completions/slmdeploy
    """
    from slmdeploy.cli.app import COMPLETE_VARIABLE, app

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"click has no completion for {shell!r}.")
    # The template itself: click's source() would start a bash to ask for its version.
    script = kind(app, {}, "slmdeploy", COMPLETE_VARIABLE)
    click.echo(script.source_template % script.source_vars())
