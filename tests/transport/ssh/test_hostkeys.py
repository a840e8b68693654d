"""Which keys are known for a server, as sshd(8) describes known_hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from paramiko.hostkeys import HostKeyEntry

from slmdeploy.errors import HostKeyError
from slmdeploy.transport.ssh.config import SshTarget
from slmdeploy.transport.ssh.hostkeys import (
    KnownKeys,
    algorithms_first,
    check_host_key,
    known_keys,
)
from tests.boards.sshd import make_key

BOARD = SshTarget("pi5-a", "10.0.0.5", "10.0.0.5", 22, "lab")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two public keys, as lines without a host."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("a", "b"):
        make_key(folder / name)
    return [" ".join((folder / f"{name}.pub").read_text().split()[:2]) for name in ("a", "b")]


def key(line: str) -> paramiko.PKey:
    entry = HostKeyEntry.from_line(f"x {line}")
    assert entry is not None
    return entry.key


def known(tmp_path: Path, *rows: str, target: SshTarget = BOARD) -> tuple[paramiko.PKey, ...]:
    (tmp_path / "known_hosts").write_text("\n".join(rows) + "\n")
    return known_keys(replace(target, known_hosts=(tmp_path / "known_hosts",))).keys


def test_names_off_port_22_stand_in_brackets():
    assert BOARD.known_name == "10.0.0.5"
    assert replace(BOARD, port=2222).known_name == "[10.0.0.5]:2222"


def test_a_host_key_alias_is_looked_up_as_it_is(tmp_path: Path, lines: list[str]):
    aliased = replace(BOARD, port=2222, known_as="the-pi")
    assert known(tmp_path, f"the-pi {lines[0]}", target=aliased) == (key(lines[0]),)


def test_a_plain_name_a_list_and_a_pattern(tmp_path: Path, lines: list[str]):
    for names in ("10.0.0.5", "pi,10.0.0.5", "10.0.0.*", "10.0.0.?"):
        assert known(tmp_path, f"{names} {lines[0]}") == (key(lines[0]),)


def test_a_hashed_name(tmp_path: Path, lines: list[str]):
    hashed = paramiko.HostKeys.hash_host("10.0.0.5")
    assert known(tmp_path, f"{hashed} {lines[0]}") == (key(lines[0]),)


def test_another_name_a_negated_one_and_rubbish_are_passed_over(tmp_path: Path, lines: list[str]):
    rows = (f"10.0.0.6 {lines[0]}", f"*,!10.0.0.5 {lines[0]}", "# note", "10.0.0.5 nonsense")
    assert known(tmp_path, *rows) == ()


def test_a_port_belongs_to_the_name(tmp_path: Path, lines: list[str]):
    other = replace(BOARD, port=2222)
    assert known(tmp_path, f"10.0.0.5 {lines[0]}", target=other) == ()
    assert known(tmp_path, f"[10.0.0.5]:2222 {lines[0]}", target=other) == (key(lines[0]),)


def test_two_keys_of_one_type_are_both_trusted(tmp_path: Path, lines: list[str]):
    assert len(known(tmp_path, *(f"10.0.0.5 {line}" for line in lines))) == 2


@pytest.mark.parametrize("blank", [" ", "\t", "  "])
def test_a_revoked_key_is_not_trusted_though_it_also_stands_there(
    tmp_path: Path, lines: list[str], blank: str
):
    rows = (f"10.0.0.5 {lines[0]}", f"@revoked{blank}* {lines[0]}")
    assert known(tmp_path, *rows) == ()


def test_a_certificate_authority_is_no_host_key(tmp_path: Path, lines: list[str]):
    assert known(tmp_path, f"@cert-authority * {lines[0]}") == ()


def test_a_pinned_key_is_the_only_one(tmp_path: Path, lines: list[str]):
    pinned = replace(BOARD, host_key=lines[1])
    assert known(tmp_path, f"10.0.0.5 {lines[0]}", target=pinned) == (key(lines[1]),)


def test_no_known_hosts_file_is_an_empty_one(tmp_path: Path):
    assert known_keys(replace(BOARD, known_hosts=(tmp_path / "nothing",))).keys == ()


def test_a_known_key_passes_and_another_does_not(lines: list[str]):
    trusted = KnownKeys((key(lines[0]),), "known_hosts")
    check_host_key(BOARD, key(lines[0]), trusted)
    with pytest.raises(HostKeyError, match="has changed"):
        check_host_key(BOARD, key(lines[1]), trusted)


def test_algorithms_of_known_keys_are_asked_for_first(lines: list[str]):
    trusted = KnownKeys((key(lines[0]),), "known_hosts")
    offered = ["rsa-sha2-512", "ecdsa-sha2-nistp256", "ssh-ed25519"]
    assert algorithms_first(trusted, offered)[0] == "ssh-ed25519"
    assert algorithms_first(KnownKeys((), "x"), offered) == offered
