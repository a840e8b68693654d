"""The argument NAME of ``slmdeploy devices ...``, completed by the shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

__all__ = ["complete_name", "name_argument"]

F = TypeVar("F", bound=Callable[..., Any])


def complete_name(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of devices that begin so; none if an inventory has a fault."""
    del ctx, parameter
    from slmdeploy.device.lab.inventory import load_inventory
    from slmdeploy.errors import SlmdeployError

    try:
        names = load_inventory().devices
    except SlmdeployError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def name_argument(body: F) -> F:
    """Add the argument NAME: a device of the inventory, as ``name``."""
    return click.argument("name", shell_complete=complete_name)(body)
