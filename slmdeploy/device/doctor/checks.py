"""Judge the way to a board: reached, recognized, let in, clock, tools; pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from slmdeploy.device.doctor.gather import BoardFacts, ClockSkew
from slmdeploy.device.doctor.host_checks import Check
from slmdeploy.device.facts import Reading
from slmdeploy.device.lab.fingerprint import fingerprint_of
from slmdeploy.device.types import Device
from slmdeploy.errors import (
    AuthError,
    CommandError,
    ConnectError,
    DeviceError,
    HostKeyError,
    SlmdeployError,
)

__all__ = [
    "SKEW_SECONDS",
    "access_checks",
    "judge_board",
    "judge_files_server",
    "judge_host_key",
    "judge_skew",
    "judge_tools",
    "lost_checks",
    "on_board",
    "unknown",
    "way_of_failing",
]

SKEW_SECONDS = 5.0
"""From here on two logs no longer go together, and what expires by the clock is wrong."""

# What push, runs and lease cannot do without there; each of our scripts was read for it.
TOOLS = (
    *("awk", "cat", "chmod", "cmp", "cp", "dd", "df", "find", "grep", "head", "kill", "ln", "ls"),
    *("mkdir", "mv", "readlink", "rm", "rmdir", "sed", "sleep", "sort", "sync", "tail", "tar"),
    *("tr", "wc"),
)
PACKAGES = "coreutils diffutils findutils util-linux grep sed mawk tar"
# What each of these is for; slmdeploy manages without, less well.
BETTER_WITH = {
    "setsid": "ending a run does not surely end all of its processes",
    "mkfifo": "runs are polled, which wakes the board up",
    "stat": "each push hashes all that is there, and deployments are not listed",
}


def on_board(device: Device, command: str) -> str:
    """A command that runs another one on the board, for people to paste.

    Args:
        device: Where.
        command: One line of shell.
    """
    if device.transport != "ssh":
        return command
    port = f" -p {device.port}" if device.port not in {None, 22} else ""
    key = f" -i {shlex.quote(str(device.identity_file))}" if device.identity_file else ""
    user = f"{device.user}@" if device.user else ""
    # A command of plain words reaches the board's shell as it stands.
    plain = all(character.isalnum() or character in " -_./=:," for character in command)
    return f"ssh{port}{key} {user}{device.host} {command if plain else shlex.quote(command)}"


def unknown(name: str, reason: str | None) -> Check:
    """A check that nothing could be found out for."""
    return Check(name, "unknown", reason)


def lost_checks(device: Device, error: SlmdeployError, names: tuple[str, ...]) -> tuple[Check, ...]:
    """The checks of a board that could not be reached or did not let us in.

    Args:
        device: The board.
        error: Why not.
        names: The other checks, of which nothing is known.
    """
    reached, host_key, login = _gate(device, error)
    rest = tuple(unknown(name, "the board was not looked at") for name in names)
    return (reached, host_key, login, *rest)


def way_of_failing(error: BaseException) -> str:
    """In one word how a board could not be reached, from what lies below our error.

    ``away``: nothing answers at its address. ``refused``: the machine is there, and
    nothing listens at the port. ``hanging``: somebody listens and says nothing.
    """
    causes: list[BaseException] = []
    here: BaseException | None = error
    while here is not None and here not in causes:
        causes.append(here)
        here = here.__cause__ or here.__context__
    text = " ".join(str(cause).lower() for cause in causes)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "refused"
    if "banner" in text or "the port is open" in text:
        return "hanging"
    if any(isinstance(cause, EOFError | ConnectionResetError) for cause in causes):
        return "lost"
    return "away"


def access_checks(
    device: Device, facts: BoardFacts, *, files_server: Reading[bool]
) -> Iterator[Check]:
    """The checks of a board that let us in."""
    where = "this computer" if device.transport == "local" else _address(device)
    user = facts.system.value.user if facts.system.value else None
    yield Check("reachable", "ok", where)
    yield judge_host_key(device)
    yield Check("login", "ok", f"as {user}" if user else None)
    yield judge_skew(device, facts.skew)
    yield judge_tools(device, facts.tools)
    yield judge_files_server(device, files_server)
    yield _sudo(facts.sudo)


def judge_host_key(device: Device) -> Check:
    """Whether the key that the board showed is pinned in the inventory."""
    if device.transport != "ssh":
        return Check("host key", "ok", f"not needed by the transport {device.transport}")
    if device.host_key is None:
        fix = f"slmdeploy devices trust {device.name}"
        return Check("host key", "warn", "known to ~/.ssh/known_hosts, not pinned", fix)
    shown = fingerprint_of(device.host_key) or "a key that cannot be read"
    return Check("host key", "ok", f"pinned {device.host_key.split()[0]} {shown}")


def judge_skew(device: Device, skew: Reading[ClockSkew]) -> Check:
    """The board's clock against this computer's."""
    if skew.value is None:
        return unknown("clock", skew.reason)
    sure = skew.value.sure
    if abs(sure) <= SKEW_SECONDS:
        # The true skew lies between the bounds, and 0 s is likelier than either.
        return Check("clock", "ok", f"within {max(abs(sure), 0.1):.1f} s of this computer's")
    side = "ahead of" if sure > 0 else "behind"
    fix = on_board(device, "sudo timedatectl set-ntp true")
    meaning = "times of files and records will not fit, and certificates may look expired"
    return Check("clock", "warn", f"{_span(abs(sure))} {side} this computer's: {meaning}", fix)


def judge_tools(device: Device, tools: Reading[frozenset[str]]) -> Check:
    """The commands that slmdeploy runs on a board."""
    if tools.value is None:
        return unknown("tools", tools.reason)
    missing = [tool for tool in TOOLS if tool not in tools.value]
    install = on_board(device, f"sudo apt-get install -y {PACKAGES}")
    if missing:
        return Check("tools", "fail", f"missing: {', '.join(missing)}", install)
    lacks = [f"no {tool}: {why}" for tool, why in BETTER_WITH.items() if tool not in tools.value]
    if not {"sha256sum", "openssl"} & tools.value:
        lacks.append("neither sha256sum nor openssl: what is pushed is read back to be compared")
    if lacks:
        return Check("tools", "warn", "; ".join(lacks), install)
    return Check("tools", "ok", "all that slmdeploy runs there")


def judge_files_server(device: Device, answered: Reading[bool]) -> Check:
    """Whether the SSH server takes files (SFTP)."""
    if device.transport != "ssh":
        return Check("file transfer", "ok", f"by the transport {device.transport}")
    if answered.value is None:
        return unknown("file transfer", answered.reason)
    if not answered.value:
        fix = on_board(device, "sudo apt-get install -y openssh-sftp-server")
        return Check("file transfer", "fail", f"no SFTP: {answered.reason}", fix)
    return Check("file transfer", "ok", "SFTP")


def judge_board(
    device: Device, kind: Reading[str], model: str | None, target_board: str | None
) -> Check:
    """What the board says it is, against the inventory and against the target.

    Args:
        device: As the inventory knows it.
        kind: What its device tree says it is.
        model: Its name in the device tree.
        target_board: What the target was made for.
    """
    found = kind.value or (device.board if device.transport == "local" else None)
    named = f"{model} ({found})" if model and kind.value else model or found
    if found is None:
        return Check("board", "unknown", model or kind.reason, _choose(device, target_board))
    if device.board not in {None, found}:
        fix = f'In devices.toml, [devices.{device.name}]: board = "{found}"'
        return Check("board", "warn", f"{named}, but the inventory says {device.board}", fix)
    if target_board not in {None, found}:
        value = f"{named}, but the target is made for {target_board}"
        return Check("board", "warn", value, "slmdeploy targets list")
    return Check("board", "ok", named)


def _gate(device: Device, error: SlmdeployError) -> tuple[Check, Check, Check]:
    reached = Check("reachable", "ok", _address(device))
    if isinstance(error, HostKeyError):
        key = _wrong_key(device, error)
        return reached, key, unknown("login", "not tried: the host key is not the one we know")
    if isinstance(error, AuthError):
        # The host key is checked before anything is said of who we are.
        return reached, judge_host_key(device), Check("login", "fail", error.message, error.hint)
    if isinstance(error, CommandError) or not isinstance(error, ConnectError | DeviceError):
        shell = Check("login", "fail", error.message, error.hint or "It needs a POSIX shell.")
        return reached, judge_host_key(device), shell
    value = f"{way_of_failing(error)}: {error.message}"
    away = Check("reachable", "fail", value, error.hint)
    return away, unknown("host key", "no answer"), unknown("login", "no answer")


def _wrong_key(device: Device, error: HostKeyError) -> Check:
    if device.host_key is None or "changed" not in error.message:
        return Check("host key", "fail", error.message, error.hint)
    value = f"{error.message} Replace it only if you know that the board was set up anew."
    return Check("host key", "fail", value, f"slmdeploy devices trust {device.name} --replace")


def _address(device: Device) -> str:
    port = f":{device.port}" if device.port else ""
    return f"{device.host}{port}" if device.host else device.transport


def _span(seconds: float) -> str:
    for size, unit in ((86400 * 365, "years"), (86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _sudo(sudo: Reading[bool]) -> Check:
    """Only said: nothing but changing governor, clocks or power mode needs it."""
    if sudo.value is None:
        return unknown("sudo", sudo.reason)
    text = "without a password" if sudo.value else "asks for a password: no --set-governor"
    return Check("sudo", "ok", text)


def _choose(device: Device, target_board: str | None) -> str | None:
    if target_board is None or target_board == device.board:
        return None
    return "slmdeploy targets list"
