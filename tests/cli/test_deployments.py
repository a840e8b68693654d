"""``slmdeploy push`` and the commands that look after deployments, on a real sshd."""

from __future__ import annotations

import pytest

from tests.device.bundles import make_bundle, make_runner

NAME = "tiny--rpi5"


@pytest.fixture
def lab(project, own_sshd, monkeypatch, tmp_path):
    """Two boards: one that is there, one that nobody answers for. No runner is compiled."""
    runner = make_runner(tmp_path / "runner")
    monkeypatch.setattr("slmdeploy.steps.ready.files_for", lambda *_, **__: runner)
    device = own_sshd.device()
    (project / "devices.toml").write_text(
        f'[devices.pi5-a]\nhost = "127.0.0.1"\nport = {device.port}\nuser = "{device.user}"\n'
        f'identity_file = "{device.identity_file}"\nhost_key = "{device.host_key}"\n'
        f'[devices.pi5-b]\nhost = "127.0.0.1"\nport = 1\nuser = "pi"\n'
        f'host_key = "{device.host_key}"\n'
    )
    return own_sshd


@pytest.fixture
def versions(lab, cli, tmp_path):
    for word in (b"one", b"two", b"three"):
        make_bundle(tmp_path / word.decode(), model=word * 200_000)
        assert cli("push", tmp_path / word.decode(), "--device", "pi5-a").exit_code == 0
    return tmp_path


def digests(cli_json):
    _, document = cli_json("devices", "deployments", "pi5-a")
    return [version["digest"] for version in document["results"][0]["result"]]


def test_a_dead_board_neither_stops_nor_hides_the_other(lab, cli_json, tmp_path):
    make_bundle(tmp_path / "b")
    code, document = cli_json("push", tmp_path / "b", "--device", "all")
    assert code == 4
    there, away = document["results"]
    assert (there["device"], there["error"]) == ("pi5-a", None)
    assert there["result"]["sent_bytes"] > 0
    assert away["device"] == "pi5-b"
    assert away["result"] is None
    assert "pi5-b" in away["error"]["message"]
    code, document = cli_json("push", tmp_path / "b", "--device", "pi5-a")
    assert (code, document["results"][0]["result"]["sent_bytes"]) == (0, 0)


def test_damage_is_said(versions, cli, lab):
    (model,) = (path for path in lab.home.rglob("model.pte") if path.read_bytes()[:3] == b"two")
    model.write_bytes(b"x" + model.read_bytes()[1:])
    done = cli("push", versions / "two", "--device", "pi5-a", "--verify")
    assert done.exit_code == 0
    assert "model.pte on pi5-a was damaged" in done.stderr


def test_deployments_are_listed(versions, cli):
    done = cli("devices", "deployments", "pi5-a")
    assert done.exit_code == 0
    lines = [line for line in done.stdout.splitlines() if NAME in line]
    assert len(lines) == 3
    assert "current" in lines[0]
    assert "KiB" in lines[0]


def test_without_a_name_all_boards_are_asked(versions, cli_json):
    code, document = cli_json("devices", "deployments")
    assert code == 4
    assert [one["device"] for one in document["results"]] == ["pi5-a", "pi5-b"]


def test_rollback_and_back(versions, cli, cli_json):
    before = digests(cli_json)
    assert "would become" in cli("devices", "rollback", "pi5-a", NAME, "--dry-run").stdout
    assert digests(cli_json) == before
    done = cli("devices", "rollback", "pi5-a", NAME)
    assert done.stdout.startswith(f"pi5-a: {NAME}@{before[1]} is current, instead of {before[0]}")
    assert digests(cli_json)[0] == before[1]


def test_an_unknown_bundle_ends_with_2(versions, cli):
    done = cli("devices", "rollback", "pi5-a", "tiny--rpi6")
    assert done.exit_code == 2
    assert f"Did you mean {NAME!r}?" in done.stderr


def test_a_version_is_removed(versions, cli, cli_json):
    before = digests(cli_json)
    version = f"{NAME}@{before[2][:6]}"
    dry = cli("devices", "remove-deployment", "pi5-a", version, "--dry-run")
    assert "would remove" in dry.stdout
    assert digests(cli_json) == before
    code, document = cli_json("devices", "remove-deployment", "pi5-a", version)
    assert code == 0
    assert document["bytes"] > 600_000
    assert digests(cli_json) == before[:2]


def test_garbage_is_collected(versions, cli, cli_json):
    dry = cli("devices", "gc", "pi5-a", "--dry-run").stdout
    assert "would remove" in dry
    assert "blobs/" in dry
    assert len(digests(cli_json)) == 3
    assert cli("devices", "gc", "pi5-a").stdout.startswith("pi5-a: removed ")
    assert len(digests(cli_json)) == 2
    assert cli("devices", "gc", "pi5-a").stdout == "pi5-a: nothing to remove\n"


def test_settings_that_were_left_changed_are_no_garbage_and_are_named(lab, cli):
    saved = lab.home / ".slmdeploy" / "settings" / "saved"
    saved.parent.mkdir(parents=True)
    saved.write_text("t0ken eve@lab (process 7)\nmode\t-\t1\n")
    done = cli("devices", "gc", "pi5-a", "--dry-run")
    assert done.exit_code == 0
    assert "left changed by eve@lab (process 7): power mode (was 1)" in done.stderr
    assert "slmdeploy devices restore pi5-a" in done.stderr
    assert saved.exists()


def test_a_bundle_that_was_made_for_another_board_is_pushed_and_that_is_said(
    lab, project, cli, tmp_path
):
    inventory = project / "devices.toml"
    inventory.write_text(
        inventory.read_text().replace("[devices.pi5-a]", "[devices.pi5-a]\nboard = 'rpi4'")
    )
    make_bundle(tmp_path / "b")
    done = cli("push", tmp_path / "b", "--device", "pi5-a")
    assert done.exit_code == 0
    assert "was made for rpi5 (target rpi5-executorch); pi5-a is rpi4." in done.stderr
