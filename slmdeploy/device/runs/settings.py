"""Settings of a board that are changed for a measurement, and always put back.

What they were is kept on the board, in ``settings/saved``, before the first is changed. A
guardian there puts them back when our lease is over: after a killed host or a lost
connection as well. After a restart of the board ``restore_settings`` does it, which the
next measurement and ``slmdeploy devices restore`` call.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence

from slmdeploy.device.runs import settings_scripts as scripts
from slmdeploy.device.runs.jobs import Job, start_job
from slmdeploy.device.runs.lease import Lease
from slmdeploy.device.runs.owner import owner_name
from slmdeploy.device.runs.retry import Patience, retried
from slmdeploy.device.runs.settings_plan import (
    Change,
    Saved,
    Survey,
    Wanted,
    parse_survey,
    plan_changes,
    setting_name,
)
from slmdeploy.device.script import script
from slmdeploy.errors import CommandError, DeviceError
from slmdeploy.transport.base import Transport

__all__ = ["changed_settings", "plan_settings", "read_saved", "restore_settings"]

RETRY_SECONDS = 10.0


def plan_settings(transport: Transport, wanted: Wanted) -> tuple[Change, ...]:
    """What would be changed; changes nothing.

    Raises:
        DeviceError: The board has no such setting, or is away.
    """
    return _plan(transport, _survey(transport), wanted)


def read_saved(transport: Transport) -> Saved | None:
    """Settings that are changed now; ``None`` where all are as they were.

    Raises:
        ConnectError: The device is away.
    """
    return _survey(transport).saved


def restore_settings(transport: Transport) -> tuple[str, ...]:
    """Put back all that is changed; gives a line for each, nothing where nothing is.

    Raises:
        DeviceError: Something cannot be put back, or the device is away.
    """
    argv = script(scripts.RESTORE, _folder(transport))
    told = retried(lambda: transport.check(argv).stdout, Patience(RETRY_SECONDS))
    rows = [row.split("\t") for row in told.splitlines()]
    for row in rows:
        if row[0] == "failed":
            raise DeviceError(
                f"{setting_name(row[1], row[2])} of {transport.name} could not be put back: "
                f"{row[-1].strip()}.",
                hint=f"Try again: slmdeploy devices restore {transport.name}",
            )
    return tuple(f"{setting_name(row[1], row[2])}: {row[3]}" for row in rows)


@contextlib.contextmanager
def changed_settings(
    lease: Lease, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[tuple[Change, ...]]:
    """Change settings for as long as the block lasts; gives what was changed.

    Args:
        lease: Ours; the board puts all back when it is over.
        wanted: What shall be changed; what is so already is left alone.
        tell: Is told of each change before it is made.

    Raises:
        DeviceError: The board has no such setting, or does not let us: nothing is
            changed then.
    """
    transport = lease.transport
    survey = _survey(transport)
    if survey.saved is not None:  # by whoever held the board before us
        tell(f"put back what {survey.saved.owner} had changed")
        restore_settings(transport)
        survey = _survey(transport)
    changes = _plan(transport, survey, wanted)
    if not changes:
        yield ()
        return
    _refuse_forbidden(transport, survey, changes)
    for change in changes:
        tell(f"{transport.name}: {change}")
    with _guarded(lease, changes):
        _apply(transport, changes)
        yield changes


@contextlib.contextmanager
def _guarded(lease: Lease, changes: Sequence[Change]) -> Iterator[None]:
    """Keep what the settings are now, and put it back in the end, or have it put back."""
    transport, token = lease.transport, uuid.uuid4().hex
    folder, home = _folder(transport), transport.home()
    rows = _rows((c.kind, c.key, c.old) for c in reversed(changes))
    guard: Job | None = None
    try:
        transport.check(script(scripts.SAVE, folder, token, owner_name()), stdin=rows)
        arguments = (folder, token, f"{home}/lease", str(lease.number), f"{home}/runs")
        guard = start_job(transport, script(scripts.GUARD, *arguments), name="guard")
        yield
    except BaseException:
        # What went wrong tells more, and the guardian is still there.
        with contextlib.suppress(DeviceError):
            _put_back(transport, guard)
        raise
    _put_back(transport, guard)


def _put_back(transport: Transport, guard: Job | None) -> None:
    restore_settings(transport)
    if guard is not None:
        with contextlib.suppress(DeviceError):  # it ends by itself: there is nothing to guard
            guard.stop()
            guard.remove()


def _apply(transport: Transport, changes: Sequence[Change]) -> None:
    rows = _rows((c.kind, c.key, c.new) for c in changes)
    for line in transport.check(script(scripts.APPLY), stdin=rows).stdout.splitlines():
        row = line.split("\t")
        if row[0] == "failed":
            raise DeviceError(
                f"{setting_name(row[1], row[2])} of {transport.name} could not be set: "
                f"{row[-1].strip()}.",
                hint="A power mode that needs a restart must be set by hand." * (row[1] == "mode")
                or None,
            )


def _refuse_forbidden(transport: Transport, survey: Survey, changes: Sequence[Change]) -> None:
    try:
        transport.check(script(scripts.MAY), stdin=_rows((c.kind, c.key, c.new) for c in changes))
    except CommandError as error:
        said = error.stderr.strip().splitlines()[-1:] or ["no reason given"]
        commands = ", ".join(_needs_root(change) for change in changes)
        raise DeviceError(
            f"{survey.user} may not change settings of {transport.name}: {said[0]}.",
            hint="On the board, with visudo -f /etc/sudoers.d/slmdeploy, add: "
            f"{survey.user} ALL=(root) NOPASSWD: {commands}",
        ) from error


def _needs_root(change: Change) -> str:
    """What sudoers must allow; no wildcards, which in sudoers match further arguments too."""
    if change.kind == "governor":
        return f"/usr/bin/tee {change.key}"
    return {"mode": "/usr/sbin/nvpmodel", "clocks": "/usr/bin/jetson_clocks"}[change.kind]


def _plan(transport: Transport, survey: Survey, wanted: Wanted) -> tuple[Change, ...]:
    file = f"{_folder(transport)}/clocks.conf"
    return plan_changes(transport.name, survey, wanted, file)


def _survey(transport: Transport) -> Survey:
    argv = script(scripts.SURVEY, _folder(transport))
    return parse_survey(transport.check(argv).stdout)


def _folder(transport: Transport) -> str:
    return f"{transport.home()}/settings"


def _rows(rows: Iterable[tuple[str, str, str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()
