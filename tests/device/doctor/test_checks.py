"""The way to a board: reached, recognized, let in; its clock, tools and kind."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from slmdeploy.device.doctor.checks import (
    BETTER_WITH,
    SKEW_SECONDS,
    TOOLS,
    judge_board,
    judge_files_server,
    judge_host_key,
    judge_skew,
    judge_tools,
    lost_checks,
    on_board,
    way_of_failing,
)
from slmdeploy.device.doctor.gather import ClockSkew
from slmdeploy.device.doctor.script import READ
from slmdeploy.device.facts import Reading
from slmdeploy.device.lab.inventory import LOCAL
from slmdeploy.device.types import Device
from slmdeploy.errors import AuthError, CommandError, ConnectError, HostKeyError

BOARD = Device(name="pi5-a", host="10.0.0.5", user="lab", board="rpi5")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtEXoL8v0+9cDJu7kNk2S2SHWDXGfU3NOEXnDgAU8Bv"
ALL_TOOLS = frozenset({*TOOLS, *BETTER_WITH, "sha256sum"})


def statuses(checks):
    return {check.name: check.status for check in checks}


def test_a_command_for_the_board_can_be_pasted():
    assert on_board(BOARD, "sudo reboot") == "ssh lab@10.0.0.5 sudo reboot"


def test_port_and_key_are_in_the_command():
    board = dataclasses.replace(BOARD, port=2222, identity_file=Path("/keys/my key"))
    assert on_board(board, "sync") == "ssh -p 2222 -i '/keys/my key' lab@10.0.0.5 sync"


def test_what_the_boards_shell_must_see_is_quoted_for_ours():
    assert on_board(BOARD, "a | b") == "ssh lab@10.0.0.5 'a | b'"


def test_this_computer_needs_no_ssh():
    assert on_board(LOCAL, "sudo reboot") == "sudo reboot"


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        (ConnectionRefusedError(111, "refused"), "refused"),
        (TimeoutError("timed out"), "away"),
        (OSError(113, "No route to host"), "away"),
        (ConnectionResetError(104, "reset"), "lost"),
    ],
)
def test_why_a_board_cannot_be_reached_in_one_word(cause: Exception, word: str):
    error = ConnectError("Could not connect.")
    error.__cause__ = cause
    assert way_of_failing(error) == word


def test_a_server_that_says_nothing_hangs():
    error = ConnectError("Could not connect to x: the port is open, but no SSH server answered.")
    assert way_of_failing(error) == "hanging"


def test_a_board_that_is_away_leaves_all_else_unknown():
    error = ConnectError("It is away.", hint="Is it on?")
    checks = lost_checks(BOARD, error, ("clock", "disk"))
    assert statuses(checks) == {
        "reachable": "fail",
        "host key": "unknown",
        "login": "unknown",
        "clock": "unknown",
        "disk": "unknown",
    }
    assert checks[0].fix == "Is it on?"


def test_a_changed_key_is_a_failed_key_of_a_board_that_was_reached():
    board = dataclasses.replace(BOARD, host_key=KEY)
    checks = lost_checks(board, HostKeyError("The host key has changed."), ())
    assert statuses(checks) == {"reachable": "ok", "host key": "fail", "login": "unknown"}
    assert checks[1].fix == "slmdeploy devices trust pi5-a --replace"
    assert "only if you know" in str(checks[1].value)


def test_an_unknown_key_has_the_errors_own_way_out():
    error = HostKeyError("The host key is not known.", hint="Run: slmdeploy devices trust pi5-a")
    assert lost_checks(BOARD, error, ())[1].fix == "Run: slmdeploy devices trust pi5-a"


def test_a_board_that_does_not_let_us_in():
    board = dataclasses.replace(BOARD, host_key=KEY)
    checks = lost_checks(board, AuthError("It accepted none of our keys."), ())
    assert statuses(checks) == {"reachable": "ok", "host key": "ok", "login": "fail"}


def test_a_board_without_a_shell_let_us_in_and_no_further():
    checks = lost_checks(BOARD, CommandError(["sh"], 127, "sh: not found"), ())
    assert statuses(checks) == {"reachable": "ok", "host key": "warn", "login": "fail"}


def test_a_pinned_key_is_shown_by_its_fingerprint():
    check = judge_host_key(dataclasses.replace(BOARD, host_key=KEY))
    assert check.status == "ok"
    assert check.value is not None
    assert check.value.startswith("pinned ssh-ed25519 SHA256:")


def test_a_key_of_known_hosts_is_not_pinned():
    check = judge_host_key(BOARD)
    assert (check.status, check.fix) == ("warn", "slmdeploy devices trust pi5-a")


@pytest.mark.parametrize(
    ("skew", "status"),
    [
        (ClockSkew(-0.2, 0.3), "ok"),
        (ClockSkew(SKEW_SECONDS, 9.0), "ok"),
        (ClockSkew(SKEW_SECONDS + 0.1, 9.0), "warn"),
        (ClockSkew(-9.0, -SKEW_SECONDS - 0.1), "warn"),
        (ClockSkew(-60.0, 60.0), "ok"),  # a slow way there and back proves nothing
    ],
)
def test_a_clock_is_wrong_only_where_that_is_certain(skew: ClockSkew, status: str):
    assert judge_skew(BOARD, Reading(skew)).status == status


def test_a_clock_that_is_off_by_a_year_says_which_way_and_how_to_set_it():
    check = judge_skew(BOARD, Reading(ClockSkew(-365 * 86400.0, -365 * 86400.0)))
    assert check.value is not None
    assert check.value.startswith("365 days behind this computer's")
    assert check.fix == "ssh lab@10.0.0.5 sudo timedatectl set-ntp true"


@pytest.mark.parametrize(
    ("lacks", "status"),
    [((), "ok"), (("ln", "awk"), "fail"), (("setsid",), "warn"), (("sha256sum",), "warn")],
)
def test_tools_that_nothing_goes_without_and_others(lacks: tuple[str, ...], status: str):
    check = judge_tools(BOARD, Reading(ALL_TOOLS - set(lacks)))
    assert check.status == status
    assert all(tool in str(check.value) for tool in lacks)
    assert (check.fix is None) == (status == "ok")


def test_the_board_is_asked_for_each_of_them():
    (asked,) = re.findall(r"for tool in (.*?); do", READ, flags=re.DOTALL)
    assert {*asked.replace("\\", "").split()} == ALL_TOOLS | {"openssl"}


def test_openssl_hashes_as_well():
    tools = ALL_TOOLS - {"sha256sum"} | {"openssl"}
    assert judge_tools(BOARD, Reading(tools)).status == "ok"


def test_a_server_without_sftp_fails_and_says_what_to_install():
    check = judge_files_server(BOARD, Reading(value=False, reason="no subsystem"))
    assert check.status == "fail"
    assert "openssh-sftp-server" in str(check.fix)


@pytest.mark.parametrize(
    ("kind", "target", "status"),
    [
        ("rpi5", "rpi5", "ok"),
        ("rpi5", None, "ok"),
        ("rpi4", None, "warn"),  # the inventory says rpi5
        ("rpi5", "rpi4", "warn"),
        (None, "rpi5", "unknown"),
    ],
)
def test_the_board_against_inventory_and_target(kind: str | None, target: str | None, status: str):
    reading = Reading(kind, None if kind else "it has no device tree")
    assert judge_board(BOARD, reading, None, target).status == status
