"""``slmdeploy doctor``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slmdeploy.cli.console import Console, table_text
from slmdeploy.cli.options import common
from slmdeploy.errors import HostError

if TYPE_CHECKING:
    from slmdeploy.device.host_checks import Check

__all__ = ["command"]


@click.command("doctor")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where bundles will go; by default ./bundles.",
)
@common
def command(*, console: Console, output: Path | None) -> int:
    """Check whether this computer can do the work, and how to make it so.

    Ends with 6 when a check failed; a warning concerns some targets only.
    """
    from slmdeploy.device.host import check_host, has_failed

    checks = check_host(output)
    failed = has_failed(checks)
    document = {"subject": "host", "ok": not failed, "checks": checks}
    console.show("slmdeploy/doctor/1", document, lambda: _text(checks))
    return HostError.exit_code if failed else 0


def _text(checks: Sequence[Check]) -> str:
    rows = [(check.status, check.name, check.value) for check in checks]
    lines = table_text(["status", "check", "found"], rows).splitlines()
    with_fixes = [lines[0]]
    for line, check in zip(lines[1:], checks, strict=True):
        with_fixes += [line, f"        {check.fix}"] if check.fix else [line]
    return "\n".join(with_fixes)
