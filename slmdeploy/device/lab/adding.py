"""Boards come into the inventory, are trusted anew, and go."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from slmdeploy.device.connect import connect
from slmdeploy.device.lab.board_guess import guess_board
from slmdeploy.device.lab.devices_edit import (
    with_device,
    with_host_key,
    without_device,
    write_devices,
)
from slmdeploy.device.lab.devices_toml import parse_devices, read_devices, to_toml
from slmdeploy.device.lab.fingerprint import fingerprint_of
from slmdeploy.device.lab.hostkeys import HostKey, Witness, accepted, look_at_key
from slmdeploy.device.lab.inventory import LOCAL, Inventory
from slmdeploy.device.project import PROJECT_FILE, Project, user_devices_file
from slmdeploy.device.types import Device
from slmdeploy.errors import ProfileError, UsageError

__all__ = [
    "Added",
    "Removed",
    "Retrusted",
    "add_device",
    "file_for",
    "remove_device",
    "trust_device",
]


KEYLESS_BOARDS = {"adb": "android"}
"""The kind of board where nobody said it, of transports without host keys."""


@dataclass(frozen=True)
class Added:
    """A device that came into the inventory, or would.

    Attributes:
        device: With its pinned key, if it is reached by SSH.
        file: Where it stands.
        key: Its host key; ``None`` where the transport has none (adb).
        witness: What vouched for the key; ``None`` with ``dry_run`` if somebody would
            have to be asked.
        logged_in: Whether a login was tried, and worked.
        board_guessed: Whether its ``board`` was read from it.
        board_reason: Why it has no ``board``.
        stale: Its name in ``known_hosts`` where that has another key.
        dry_run: Nothing was written.
    """

    device: Device
    file: Path
    key: HostKey | None
    witness: Witness | None
    logged_in: bool = False
    board_guessed: bool = False
    board_reason: str | None = None
    stale: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Retrusted:
    """What became of the pinned key of a device.

    Attributes:
        name: The device.
        file: Where it stands.
        key: The key that the board offers.
        old: The key that was trusted before, if it is another.
        witness: As in ``Added``.
        changed: Whether the file was changed, or would be.
        stale: As in ``Added``.
        dry_run: Nothing was written.
    """

    name: str
    file: Path
    key: HostKey
    old: HostKey | None
    witness: Witness | None
    changed: bool
    stale: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Removed:
    """A device that went from the inventory, or would.

    Attributes:
        device: What it was.
        file: Where it stood.
        uncovers: A file that has a device of the same name, which is seen from now on.
        dry_run: Nothing was written.
    """

    device: Device
    file: Path
    uncovers: Path | None = None
    dry_run: bool = False


def file_for(project: Project, *, choice: bool | None = None) -> Path:
    """The inventory that a new device goes to.

    Args:
        project: The project.
        choice: True for the project's, false for the user's; by default the project's if
            there is a project (``slmdeploy.toml``) or it has an inventory already.
    """
    own = project.devices_file
    is_project = (project.root / PROJECT_FILE).is_file() or own.is_file()
    return own if choice or (choice is None and is_project) else user_devices_file()


def add_device(
    device: Device,
    file: Path,
    inventory: Inventory,
    *,
    fingerprint: str | None = None,
    login: bool = True,
    dry_run: bool = False,
) -> Added:
    """Look at a board's host key, have it accepted, log in once, and write it down.

    Args:
        device: What is known of it; ``board`` is read from it if it is not given.
        file: The inventory to write to.
        inventory: What is known already.
        fingerprint: The one that its host key must have; else ``known_hosts`` or an
            answer at the terminal decides.
        login: Whether to prove that it lets us in.
        dry_run: Look only: ask nothing, log in nowhere, write nothing.

    Raises:
        UsageError: The name is taken, or a value is wrong.
        HostKeyError: The key is not accepted; nothing was written.
        ConnectError: The board is away; nothing was written.
        AuthError: It does not let us in; nothing was written.
    """
    parse_devices(to_toml([device]), Path("the new device"))

    def edited(with_it: Device) -> str:
        """Read anew each time: somebody may take minutes to compare a key."""
        return with_device(_text_for(device.name, file, inventory), with_it, file)

    edited(device)  # what it would refuse is told before anybody is asked
    if device.transport != "ssh":
        found = _keyless(device, file, fingerprint, login=login and not dry_run)
        if not dry_run:
            write_devices(file, edited(found.device))
        return replace(found, dry_run=dry_run)
    # A fingerprint that somebody gives counts for more than what stands in known_hosts.
    given = fingerprint is not None
    offer = look_at_key(device, fingerprint=fingerprint, replace_old=given, listed=False)
    pinned = replace(device, host_key=offer.key.line)
    if dry_run:
        return Added(pinned, file, offer.key, offer.witness, stale=offer.stale, dry_run=True)
    found = Added(pinned, file, offer.key, accepted(offer), stale=offer.stale)
    if login:
        found = _proven(found)
    write_devices(file, edited(found.device))
    return found


def _keyless(device: Device, file: Path, fingerprint: str | None, *, login: bool) -> Added:
    """Of adb: the device itself asks on its screen whether this computer may come in."""
    said = {"user": device.user, "identity-file": device.identity_file, "fingerprint": fingerprint}
    for option, value in said.items():
        if value is not None:
            raise UsageError(
                f"--{option} is for SSH; {device.transport} has no such thing.",
                hint="adb's own authorization stands for it: the device asks on its screen.",
            )
    known = replace(device, board=device.board or KEYLESS_BOARDS.get(device.transport))
    if login:
        with closing(connect(known)) as transport:
            transport.check(["true"])
    return Added(known, file, None, None, logged_in=login)


def trust_device(
    name: str,
    inventory: Inventory,
    *,
    fingerprint: str | None = None,
    replace_old: bool = False,
    dry_run: bool = False,
) -> Retrusted:
    """Pin the host key that a known device offers now.

    Args:
        name: The device.
        inventory: What is known.
        fingerprint: As for ``add_device``.
        replace_old: Whether a key that was trusted may be given up for another.
        dry_run: Look only: ask nothing, write nothing.

    Raises:
        UnknownNameError: There is no such device.
        UsageError: It is not reached by SSH.
        HostKeyError: The key has changed and is not to be replaced, or is not accepted.
        ConnectError: The board is away.
    """
    device = inventory.get(name)
    file = _file_of(device, inventory)
    if device.transport != "ssh":
        raise UsageError(f"{name} is reached by {device.transport!r}, which has no host keys.")
    if device.host_key is not None:
        device = _without_rubbish(device, replace_old=replace_old)
    offer = look_at_key(device, fingerprint=fingerprint, replace_old=replace_old)
    changed = device.host_key != offer.key.line
    done = Retrusted(name, file, offer.key, offer.old, offer.witness, changed, offer.stale, dry_run)
    if dry_run or not changed:
        return done
    witness = accepted(offer)
    write_devices(file, with_host_key(_read(file), name, offer.key.line, file))
    return replace(done, witness=witness)


def remove_device(name: str, inventory: Inventory, *, dry_run: bool = False) -> Removed:
    """Take a device out of the inventory; the board itself is left as it is.

    Raises:
        UnknownNameError: There is no such device.
        UsageError: It is ``local``, which always exists.
    """
    device = inventory.get(name)
    file = _file_of(device, inventory)
    edited = without_device(_read(file), name, file)
    others = [other for other in inventory.files if other != file and name in read_devices(other)]
    if not dry_run:
        write_devices(file, edited)
    return Removed(device, file, others[-1] if others else None, dry_run)


def _text_for(name: str, file: Path, inventory: Inventory) -> str:
    """The inventory as it is, if a device of this name may come into it."""
    if name == LOCAL.name:
        raise UsageError("The device 'local' is this computer and always exists.")
    known = inventory.sources.get(name)
    text = _read(file)
    taken = name in parse_devices(text, file)
    if taken or (known is not None and inventory.files.index(known) > _rank(file, inventory)):
        raise UsageError(
            f"There is a device {name!r} in {file if taken else known} already.",
            hint=f"Another host key: slmdeploy devices trust {name} --replace; another address: "
            f"edit the file, or first: slmdeploy devices remove {name}",
        )
    return text


def _rank(file: Path, inventory: Inventory) -> int:
    """Files that are read later win; one that is not there yet is the project's or loses."""
    if file in inventory.files:
        return inventory.files.index(file)
    return -1 if file == user_devices_file() else len(inventory.files)


def _proven(found: Added) -> Added:
    """Log in, and read the kind of board if nobody said it."""
    with closing(connect(found.device)) as transport:
        if found.device.board is not None:
            transport.check(["true"])
            return replace(found, logged_in=True)
        board = guess_board(transport)
    return replace(
        found,
        device=replace(found.device, board=board.value),
        logged_in=True,
        board_guessed=board.value is not None,
        board_reason=board.reason,
    )


def _file_of(device: Device, inventory: Inventory) -> Path:
    if device.name not in inventory.sources:
        raise UsageError(f"The device {device.name!r} is this computer and always exists.")
    return inventory.sources[device.name]


def _without_rubbish(device: Device, *, replace_old: bool) -> Device:
    """A pinned key that is no key can only be replaced."""
    unusable = fingerprint_of(device.host_key) is None
    return replace(device, host_key=None) if unusable and replace_old else device


def _read(file: Path) -> str:
    try:
        # As it is: read_text would turn the line ends of a file from Windows.
        return file.read_bytes().decode("utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{file} cannot be read: {error}.") from error
