"""Options that several commands share."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from slmdeploy.cli.console import Console

__all__ = [
    "bundle_argument",
    "common",
    "complete_target",
    "device_option",
    "dry_run_option",
    "existing_folder",
    "export_options",
    "fetch_option",
    "model_argument",
    "one_device_option",
    "request_options",
    "settings_options",
    "steal_option",
    "store_option",
    "target_option",
    "targets_dir_option",
    "threads_option",
    "workload_options",
]

F = TypeVar("F", bound=Callable[..., Any])


def common(body: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``, ``-q`` and ``-v``; the command gets them as ``console``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.option("-q", "--quiet", is_flag=True, help="No remarks and no progress.")
    @click.option("-v", "--verbose", is_flag=True, help="More detail; a traceback of a bug.")
    @functools.wraps(body)
    def wrapped(*, as_json: bool, quiet: bool, verbose: bool, **given: Any) -> Any:
        if verbose and not quiet:
            _show_log()
        return body(console=Console(json=as_json, quiet=quiet, verbose=verbose), **given)

    return wrapped


def _show_log() -> None:
    """Write what libraries say, which is kept off the terminal otherwise, to stderr."""
    logger = logging.getLogger("slmdeploy")
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
    logger.propagate = False


def complete_target(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of targets that begin so."""
    del parameter
    from slmdeploy.target.load import list_targets

    entries = list_targets(ctx.params.get("targets_dirs") or ())
    return [CompletionItem(e.name) for e in entries if e.name.startswith(incomplete)]


def _devices(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    del ctx, parameter
    from slmdeploy.device.lab.inventory import load_inventory

    names = [*load_inventory().devices, "all"]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _recipes(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    del ctx, parameter
    from slmdeploy.compress.recipe import recipe_names

    if "/" in incomplete or incomplete.startswith("."):
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name) for name in recipe_names() if name.startswith(incomplete)]


existing_folder = click.Path(exists=True, file_okay=False, path_type=Path)

model_argument = click.argument("model")
bundle_argument = click.argument("bundle", type=existing_folder)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)
fetch_option = click.option("--fetch", is_flag=True, help="Download the model if it is not here.")
steal_option = click.option(
    "--steal", is_flag=True, help="Take a board that somebody else measures on."
)
store_option = click.option(
    "--store", metavar="PATH|URL", help="Where the records are; by default the project's."
)
targets_dir_option = click.option(
    "--targets-dir",
    "targets_dirs",
    type=existing_folder,
    multiple=True,
    help="A folder of target profiles, looked at before ./targets; repeatable.",
)
target_option = click.option(
    "--target",
    "targets",
    metavar="T",
    multiple=True,
    required=True,
    shell_complete=complete_target,
    help="Name or file of a target; repeatable.",
)


def device_option(*, default: str | None = None, required: bool = False) -> Callable[[F], F]:
    """``--device``, repeatable: a name, ``label=value`` or ``all``.

    Args:
        default: The device when none is named.
        required: Whether one must be named.
    """
    return click.option(
        "--device",
        "devices",
        metavar="D",
        multiple=True,
        required=required,
        default=None if default is None else (default,),
        shell_complete=_devices,
        help="A device, label=value or all; repeatable."
        + (f" By default {default}." if default else ""),
    )


one_device_option = click.option(
    "--device",
    "device",
    metavar="D",
    default="local",
    shell_complete=_devices,
    help="A device; by default local.",
)
threads_option = click.option(
    "--threads", metavar="N", type=click.IntRange(1, 1024), help="By default the target's."
)


def export_options(body: F) -> F:
    """What ``export`` and ``run`` may change of a target, and where the bundle goes."""
    for option in (
        click.option("--no-verify", is_flag=True, help="Do not climb the parity ladder."),
        click.option(
            "--output",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of the bundles; by default ./bundles.",
        ),
        click.option(
            "--context",
            metavar="N",
            type=click.IntRange(min=16),
            help="Tokens of prompt and answer that the cache holds; of an encoder those of a text.",
        ),
        click.option(
            "--recipe",
            metavar="NAME|FILE",
            shell_complete=_recipes,
            help="Instead of the target's own.",
        ),
    ):
        body = option(body)
    return body


def request_options(body: F) -> F:
    """What may be said of a model beside its name; the command gets both as ``request``."""

    @click.option(
        "--input",
        "inputs",
        metavar="SHAPE[:DTYPE]",
        multiple=True,
        help="An example input of a file that brings none, as in 1x16:int64; in order.",
    )
    @click.option(
        "--labelled",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Of a classifier: JSON lines with text and label; bench tells how many it gets right.",
    )
    @click.option(
        "--pooling",
        metavar="HOW",
        help="Of an encoder: mean, cls, max, or mean+normalize and the like.",
    )
    @click.option(
        "--lengths",
        metavar="N,N",
        help="Of an encoder: tokens of its texts, as in 32,128,512; a method each.",
    )
    @click.option(
        "--adapter",
        "adapters",
        metavar="NAME=DIR",
        multiple=True,
        help="A LoRA adapter to merge; repeatable: a bundle each.",
    )
    @click.option(
        "--allow-pickle", is_flag=True, help="Read a file that holds pickles: they can run code."
    )
    @functools.wraps(body)
    def wrapped(
        *,
        model: str,
        allow_pickle: bool,
        adapters: tuple[str, ...],
        pooling: str | None,
        inputs: tuple[str, ...],
        labelled: Path | None,
        lengths: str | None,
        **given: Any,
    ) -> Any:
        from slmdeploy.model.request import ModelRequest, parse_adapters, parse_lengths

        request = ModelRequest(
            model,
            allow_pickle,
            parse_adapters(adapters),
            pooling,
            inputs,
            labelled,
            parse_lengths(lengths),
        )
        return body(request=request, **given)

    return cast("F", wrapped)


def settings_options(body: F) -> F:
    """How a board is taken, and what is set on it; the command gets it as ``use``."""

    @click.option(
        "--set-clocks", type=click.Choice(["max"]), help="Jetson: lock all clocks (jetson_clocks)."
    )
    @click.option("--set-power-mode", metavar="NAME|ID", help="Jetson: as nvpmodel has it.")
    @click.option("--set-governor", metavar="G", help="Of all CPU policies: performance, say.")
    @steal_option
    @functools.wraps(body)
    def wrapped(
        *,
        steal: bool,
        set_governor: str | None,
        set_power_mode: str | None,
        set_clocks: Literal["max"] | None,
        **given: Any,
    ) -> Any:
        from slmdeploy.device.runs.settings_plan import Use, Wanted

        wanted = Wanted(set_governor, set_power_mode, set_clocks)
        return body(use=Use(steal, wanted), **given)

    return cast("F", wrapped)


def workload_options(body: F) -> F:
    """What ``bench`` may change of the workload."""
    count = click.IntRange(min=1)
    for option in (
        threads_option,
        click.option(
            "--runs", metavar="N", type=count, help="Processes after the warm-up; by default 5."
        ),
        click.option(
            "--generate",
            metavar="N",
            type=count,
            help="Tokens to generate; by default 64, or a quarter of a small context.",
        ),
        click.option(
            "--prompt",
            metavar="N",
            type=count,
            help="Tokens of the prompt; by default 128, or half of a small context. Of an encoder "
            "with several lengths: which of them; by default all.",
        ),
    ):
        body = option(body)
    return body
