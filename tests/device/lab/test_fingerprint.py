"""Fingerprints are those of ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slmdeploy.device.lab.fingerprint import fingerprint_of
from tests.boards.sshd import make_key


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_as_ssh_keygen_has_it(tmp_path: Path, kind: str):
    make_key(tmp_path / "key", kind=kind)
    argv = ["ssh-keygen", "-lf", str(tmp_path / "key.pub")]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    line = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    assert fingerprint_of(line) == said[1]


@pytest.mark.parametrize(
    "line", [None, "", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 ?", "SHA256:abc"]
)
def test_what_is_no_key_has_none(line: str | None):
    assert fingerprint_of(line) is None


def test_the_type_must_be_the_one_of_the_key(tmp_path: Path):
    make_key(tmp_path / "key")
    text = (tmp_path / "key.pub").read_text().split()[1]
    assert fingerprint_of(f"ssh-rsa {text}") is None
