"""Something else answers than the board that is known, or nothing that speaks."""

from __future__ import annotations

import socket
from pathlib import Path

from slmdeploy.device.lab.fingerprint import fingerprint_of
from tests.boards.sshd import SshdBoard, make_key
from tests.faults.commands import Lab
from tests.faults.on_board import bundles


def test_the_host_key_changed(near: SshdBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi", "--json")
    near.kill()
    (near.folder / "host_key").unlink()
    make_key(near.folder / "host_key")
    near.start()
    done = lab.run(*words)
    assert done.code == 4
    assert "host key" in done.err
    assert "slmdeploy devices trust pi --replace" in done.err
    assert not (near.home / ".slmdeploy").exists()
    key = str(fingerprint_of(near.host_key))
    trust = lab.run("devices", "trust", "pi", "--replace", "--fingerprint", key)
    assert trust.code == 0, trust.err
    assert lab.run(*words).code == 0


def test_the_port_is_refused(near: SshdBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi")
    near.kill()
    done = lab.run(*words)
    assert done.code == 4
    assert "nothing listens at this port" in done.err
    near.start()
    assert lab.run(*words).code == 0
    assert len(bundles(near.device())) == 1


def test_the_port_hangs(near: SshdBoard, lab: Lab, large: Path) -> None:
    words = ("push", large, "--device", "pi")
    config = lab.folder / "ssh_config"
    config.write_text("ConnectTimeout 1\n")
    lab.variables["SLMDEPLOY_SSH_CONFIG"] = str(config)
    near.kill()
    with socket.create_server(("127.0.0.1", near.port)):
        done = lab.run(*words)
    assert done.code == 4
    assert "no SSH server answered within 1 s" in done.err
    near.start()
    config.write_text("")
    assert lab.run(*words).code == 0
