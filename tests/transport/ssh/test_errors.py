"""No error of paramiko or of a socket reaches a user as it is."""

from __future__ import annotations

import inspect
import socket

import paramiko
import pytest
from paramiko import ssh_exception as theirs
from paramiko.hostkeys import InvalidHostKey
from paramiko.pkey import UnknownKeyType

from slmdeploy.errors import (
    AuthError,
    ConnectError,
    HostKeyError,
    SlmdeployError,
    TransferError,
)
from slmdeploy.transport.ssh.errors import TABLE, mapped_errors, translate

THEIR_CLASSES = [
    kind
    for _, kind in inspect.getmembers(theirs, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == theirs.__name__
]
ARGUMENTS = {
    theirs.BadAuthenticationType: ("no", ["password"]),
    theirs.PartialAuthentication: (["password"],),
    theirs.ChannelException: (1, "no"),
    theirs.BadHostKeyException: ("host", paramiko.RSAKey, paramiko.RSAKey),
    theirs.ProxyCommandFailure: ("nc", 1),
    theirs.NoValidConnectionsError: ({("10.0.0.5", 22): OSError()},),
}


def test_there_are_classes_to_hold_the_table_against():
    assert len(THEIR_CLASSES) >= 10


@pytest.mark.parametrize("kind", THEIR_CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_paramiko_has_a_row_of_its_own(kind: type[Exception]):
    assert kind in TABLE


@pytest.mark.parametrize("kind", THEIR_CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_paramiko_comes_out_as_ours_with_a_way_out(kind: type[Exception]):
    error = _made(kind)
    ours = translate(error, "pi5-a", "connect to")
    assert isinstance(ours, SlmdeployError)
    assert "pi5-a" in ours.message
    assert ours.hint


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (socket.gaierror(-2, "Name or service not known"), ConnectError),
        (TimeoutError("timed out"), ConnectError),
        (ConnectionRefusedError(111, "Connection refused"), ConnectError),
        (ConnectionResetError(104, "Connection reset by peer"), ConnectError),
        (OSError(113, "No route to host"), ConnectError),
        (EOFError(), ConnectError),
        (paramiko.SFTPError("odd"), TransferError),
        (UnknownKeyType(key_type="x", key_bytes=b""), AuthError),
        (InvalidHostKey("x", ValueError()), HostKeyError),
        (paramiko.PasswordRequiredException("x"), AuthError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_other_errors_of_the_library_and_of_sockets(error: Exception, ours: type[SlmdeployError]):
    with pytest.raises(ours), mapped_errors("pi5-a", "connect to"):
        raise error


def test_our_own_errors_pass_as_they_are():
    mine = TransferError("mine")
    with pytest.raises(TransferError) as caught, mapped_errors("pi5-a", "put on"):
        raise mine
    assert caught.value is mine


def test_a_bug_is_not_hidden():
    with pytest.raises(KeyError), mapped_errors("pi5-a", "connect to"):
        raise KeyError("bug")


def test_an_answer_about_a_file_is_a_transfer_error():
    with (
        pytest.raises(TransferError, match="Permission denied"),
        mapped_errors("pi5-a", "put x on", alive=lambda: True),
    ):
        raise PermissionError(13, "Permission denied")


def test_the_same_answer_without_a_connection_is_a_lost_one():
    with (
        pytest.raises(ConnectError, match="connection was lost"),
        mapped_errors("pi5-a", "put x on", alive=lambda: False),
    ):
        raise OSError("Socket is closed")


def test_sftps_one_word_for_a_full_disk_comes_with_a_hint():
    with (
        pytest.raises(TransferError) as caught,
        mapped_errors("pi5-a", "put x on", alive=lambda: True),
    ):
        raise OSError("Failure")
    assert "full" in str(caught.value.hint)


def _made(kind: type[Exception]) -> Exception:
    return kind(*ARGUMENTS.get(kind, ("said",)))
