"""``slmdeploy generate``."""

from __future__ import annotations

import sys
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain
from slmdeploy.cli.options import (
    bundle_argument,
    common,
    one_device_option,
    steal_option,
    threads_option,
)

if TYPE_CHECKING:
    from slmdeploy.pipeline import Generated, GenerationEnd

__all__ = ["command"]


@click.command("generate")
@bundle_argument
@click.argument("prompt")
@one_device_option
@click.option(
    "--max-new",
    metavar="N",
    type=click.IntRange(min=1),
    default=128,
    help="Tokens at most; by default 128.",
)
@click.option(
    "--temperature",
    metavar="X",
    type=click.FloatRange(min=0),
    default=0.0,
    help="0, the default: greedy.",
)
@click.option(
    "--top-k", metavar="N", type=click.IntRange(min=0), default=0, help="0, the default: all."
)
@click.option(
    "--top-p",
    metavar="X",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="1, the default: all.",
)
@click.option(
    "--min-p",
    metavar="X",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="0, the default: none dropped.",
)
@click.option(
    "--repetition-penalty",
    metavar="X",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    help="1, the default: none.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    help="Of the sampling; by default 0.",
)
@click.option("--system", metavar="TEXT", help="A system message for the chat template.")
@click.option("--raw", is_flag=True, help="Continue the text as it stands: no chat template.")
@threads_option
@steal_option
@common
def command(
    *,
    console: Console,
    bundle: Path,
    prompt: str,
    device: str,
    max_new: int,
    system: str | None,
    raw: bool,
    threads: int | None,
    steal: bool,
    **sampling: Any,
) -> None:
    """Answer PROMPT ("-": read it from stdin) with BUNDLE on a device.

    The text comes as it is made. The tokenizer runs here: the device sees token ids.
    With --json every piece is a JSON line, and the last line sums up.
    """
    from slmdeploy import pipeline
    from slmdeploy.runtime.protocol import Sampling

    if raw and system is not None:
        raise click.UsageError("--system needs the chat template, which --raw leaves out.")
    text = sys.stdin.read() if prompt == "-" else prompt
    with console.progress() as progress:
        events = pipeline.generate(
            bundle,
            text,
            device=device,
            max_new=max_new,
            sampling=Sampling(**sampling),
            system=system,
            raw=raw,
            threads=threads,
            steal=steal,
            progress=progress,
        )
        # Up to the first piece the device is made ready, which has its progress.
        first = list(islice(events, 1))
    for event in chain(first, events):
        _print(console, event)


def _print(console: Console, event: Generated | GenerationEnd) -> None:
    from slmdeploy.pipeline import GenerationEnd

    ended = isinstance(event, GenerationEnd)
    if console.json:
        kind = "end" if ended else "piece"
        console.event("slmdeploy/generate/1", {"event": kind, **plain(event)})
    elif isinstance(event, GenerationEnd):
        click.echo()
        console.note(_summary(event))
    else:
        click.echo(event.text, nl=False)
        sys.stdout.flush()


def _summary(end: GenerationEnd) -> str:
    ttft = "-" if end.ttft_ns is None else f"{end.ttft_ns / 1e6:.0f} ms"
    rate = "-" if end.decode_tokens_per_s is None else f"{end.decode_tokens_per_s:.1f}"
    return (
        f"[{end.prompt_tokens} prompt tokens, {end.generated_tokens} generated, TTFT {ttft}, "
        f"decode {rate} tokens/s, ended by {end.reason}]"
    )
