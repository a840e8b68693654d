"""``slmdeploy runs import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console
from slmdeploy.cli.options import common, dry_run_option, existing_folder, store_option
from slmdeploy.cli.outcome import finish

if TYPE_CHECKING:
    from slmdeploy.store.record import Record

__all__ = ["command"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NAMES = ("auto", "device-report", "executorch", "executorch-android", "litert", "coreml-xcode")


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--format",
    "name",
    type=click.Choice(_NAMES),
    default="auto",
    help="What wrote the files; by default told by their content.",
)
@click.option("--bundle", type=existing_folder, help="What ran: names model, recipe and target.")
@click.option("--device", metavar="NAME", help="Where it ran; by default what the file says.")
@click.option("--target", metavar="T", help="Of which target; by default the bundle's.")
@store_option
@dry_run_option
@common
def command(
    *, console: Console, files: tuple[Path, ...], name: str, dry_run: bool, **given: Any
) -> int:
    """Make records of what other tools measured: a record for each FILE.

    Read are the log of ExecuTorch's LLM runner, the results of its Android benchmark app,
    what LiteRT's benchmark_model prints (docs/android.md), and reports of an app of yours, as
    for Core ML (docs/device-report.md). Their figures are never ranked with ours; what they
    define in another way is shown as theirs.
    """
    from slmdeploy import pipeline

    attempts = pipeline.import_runs(files, format=name, dry_run=dry_run, **given)
    more = {"dry_run": dry_run}
    return finish(
        console, "slmdeploy/runs-import/1", attempts, _text(dry_run), subject="file", more=more
    )


def _text(dry_run: bool) -> Any:  # noqa: FBT001  it is the command's own option
    def text(file: str, record: Record) -> str:
        kept = "would be a record" if dry_run else f"record {record.id}"
        tool = "" if record.imported is None else record.imported.tool
        said = f": {record.reason}" if record.reason else ""
        return f"{file}: {kept} of {record.device}, imported from {tool}, {record.status}{said}"

    return text
