"""The command ``tests/boards/board``: emulated boards that stay, for people without hardware."""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.boards.emulated_board import EmulatedBoard
from tests.boards.kinds import KINDS
from tests.boards.network import Cable
from tests.boards.places import BoardError
from tests.boards.readiness import why_not
from tests.boards.rootfs import USER
from tests.boards.sensor_files import Sensors
from tests.boards.slots import Slot, clear_leftovers, taken_slots

STATE = "kept.json"


class Kept:
    """A board that an earlier call of the command has switched on."""

    def __init__(self, slot: Slot) -> None:
        state = json.loads((slot.folder / STATE).read_text())
        self.slot = slot
        self.name: str = state["name"]
        self.kind = KINDS[state["kind"]]
        # One that an older version of this command switched on knows less.
        self.values: dict[str, Any] = {**self.kind.values, **state["values"]}

    def set(self, values: dict[str, Any]) -> None:
        sensors = Sensors(self.slot.folder, self.kind.tree, self.values)
        sensors.set(**values)
        _remember(self.slot.folder, self.name, self.kind.name, sensors.values)

    def login(self) -> list[str]:
        """How to log in: an ssh command."""
        hosts = f"UserKnownHostsFile={self.slot.folder / 'known_hosts'}"
        key = str(self.slot.folder / "client_key")
        return ["ssh", "-i", key, "-o", hosts, f"{USER}@{self.slot.address}"]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked; 0 if it worked, 1 if not, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    reason = why_not()
    if reason is not None:
        return _fail(reason)
    clear_leftovers()
    try:
        arguments.do(arguments)
    except (BoardError, KeyError) as error:
        return _fail(str(error.args[0]))
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"board: {reason}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/boards/board", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="switch a board on, and say how to reach it")
    up.add_argument("kind", choices=sorted(KINDS))
    up.add_argument("--name", help="by default the kind")
    up.set_defaults(do=_up)
    change = commands.add_parser("set", help="change what its sensors show")
    change.add_argument("name")
    change.add_argument("values", nargs="*", metavar="NAME=VALUE", help="none: show them")
    change.set_defaults(do=_set)
    for name, action, text in (
        ("down", _down, "switch it off and remove it; all: every board"),
        ("shell", _shell, "log in"),
        ("unplug", _unplug, "pull its cable"),
        ("plug", _plug, "put its cable back"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("name")
        command.set_defaults(do=action)
    commands.add_parser("list", help="which boards are on").set_defaults(do=_list)
    return parser


def _up(arguments: argparse.Namespace) -> None:
    kind = KINDS[arguments.kind]
    name = arguments.name or kind.name
    if any(board.name == name for board in _boards()):
        raise BoardError(f"a board named {name} is already on (board down {name})")
    board = EmulatedBoard(kind, name=name, persistent=True)
    try:
        board.boot()
    except BoardError:
        board.down()
        raise
    _remember(board.folder, name, kind.name, board.sensors.values)
    (board.folder / "known_hosts").write_text(f"{board.address} {board.host_key}\n")
    person = os.environ.get("SUDO_UID")
    if person is not None:
        # They, not root, run slmdeploy.
        os.chown(board.client_key, int(person), -1)
    _say(_introduction(_find(name), board))


def _introduction(kept: Kept, board: EmulatedBoard) -> str:
    key = board.folder / "host_key.pub"
    argv = ["ssh-keygen", "-lf", str(key)]
    fingerprint = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1]
    add = f"slmdeploy devices add {board.name} {board.address} --user {board.user}"
    return f"""{board.name} is up at {board.address}: {board.kind.board}, emulated. Log in with

    {" ".join(kept.login())}

Add it to the inventory with

    {add} --board {board.kind.board} \\
      --identity-file {board.client_key} --fingerprint {fingerprint}

or with these lines in devices.toml:

    [devices.{board.name}]
    host = "{board.address}"
    user = "{board.user}"
    board = "{board.kind.board}"
    identity_file = "{board.client_key}"
    host_key = "{board.host_key}"
"""


def _set(arguments: argparse.Namespace) -> None:
    kept = _find(arguments.name)
    if not arguments.values:
        _say("".join(f"{name}={value}\n" for name, value in sorted(kept.values.items())))
        return
    pairs = [value.partition("=") for value in arguments.values]
    kept.set({name: _value(text) for name, _, text in pairs})


def _value(text: str) -> Any:
    """A number, a truth, None, a dictionary of rails; anything else is a word."""
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def _down(arguments: argparse.Namespace) -> None:
    boards = _boards() if arguments.name == "all" else [_find(arguments.name)]
    for board in boards:
        board.slot.clear()


def _shell(arguments: argparse.Namespace) -> None:
    argv = _find(arguments.name).login()
    os.execvp(argv[0], argv)  # noqa: S606


def _unplug(arguments: argparse.Namespace) -> None:
    Cable(_find(arguments.name).slot).unplug()


def _plug(arguments: argparse.Namespace) -> None:
    Cable(_find(arguments.name).slot).plug()


def _list(arguments: argparse.Namespace) -> None:
    _say("".join(f"{b.name:<16}{b.kind.name:<12}{b.slot.address}\n" for b in _boards()))


def _boards() -> list[Kept]:
    """Boards of this command; those of running tests are not ours to touch."""
    slots = [Slot(number, -1) for number in taken_slots()]
    return [Kept(slot) for slot in slots if (slot.folder / STATE).exists()]


def _find(name: str) -> Kept:
    boards = {board.name: board for board in _boards()}
    if name not in boards:
        known = ", ".join(sorted(boards)) or "none (board up rpi5)"
        raise BoardError(f"no board named {name} is on; on are: {known}")
    return boards[name]


def _remember(folder: Path, name: str, kind: str, values: dict[str, Any]) -> None:
    text = json.dumps({"name": name, "kind": kind, "values": values}, default=list)
    (folder / STATE).write_text(text)


def _say(text: str) -> None:
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
