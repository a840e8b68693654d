"""Boards are added, trusted anew and removed by commands; questions are asked at a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slmdeploy.device.lab.devices_toml import read_devices, to_toml
from slmdeploy.device.lab.fingerprint import fingerprint_of
from tests.boards.sshd import make_key
from tests.transport.adb.phone import SERIAL, Phone
from tests.transport.at_terminal import at_terminal
from tests.transport.password_sshd import PASSWORD, password_sshd


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """A user without keys, known hosts or agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def board(sshd_board):
    """The words that add the board, without its host key."""
    return (
        *("devices", "add", "pi5-a", sshd_board.host),
        *("--port", sshd_board.port, "--user", sshd_board.user, "--project"),
        *("--identity-file", sshd_board.identity_file),
    )


def test_add_in_a_script_by_fingerprint(cli_json, board, sshd_board, project):
    fingerprint = fingerprint_of(sshd_board.host_key)
    options = ("--fingerprint", fingerprint, "--board", "rpi5", "--label", "room=b12")
    code, document = cli_json(*board, *options)
    assert (code, document["schema"]) == (0, "slmdeploy/devices-add/1")
    assert document["key"] == {"line": sshd_board.host_key, "fingerprint": fingerprint}
    assert (document["witness"], document["logged_in"]) == ("fingerprint", True)
    assert read_devices(project / "devices.toml")["pi5-a"] == replace(
        sshd_board, name="pi5-a", board="rpi5", labels={"room": "b12"}
    )


def test_add_without_a_terminal_ends_with_4_and_writes_nothing(cli, board, project):
    done = cli(*board)
    assert done.exit_code == 4
    assert "--fingerprint SHA256:" in done.stderr
    assert not (project / "devices.toml").exists()


def test_add_with_a_label_of_another_form_ends_with_2(cli, board):
    done = cli(*board, "--label", "room")
    assert done.exit_code == 2
    assert "KEY=VALUE" in done.stderr


def test_add_with_a_board_that_no_target_is_for_says_so(cli, board, sshd_board):
    fingerprint = fingerprint_of(sshd_board.host_key)
    done = cli(*board, "--fingerprint", fingerprint, "--board", "rpi55")
    assert done.exit_code == 0
    assert "No target is for the board 'rpi55'. Did you mean rpi5?" in done.stderr


def test_add_dry_run_shows_the_key_and_writes_nothing(cli, board, sshd_board, project):
    done = cli(*board, "--dry-run")
    assert done.exit_code == 0
    assert "would be added" in done.stdout
    assert str(fingerprint_of(sshd_board.host_key)) in done.stdout
    assert not (project / "devices.toml").exists()


def test_add_at_a_terminal_asks_for_the_key(board, sshd_board, project):
    with at_terminal(project, *board) as it:
        it.expect(f"ssh-ed25519 {fingerprint_of(sshd_board.host_key)}".replace("+", r"\+"))
        it.expect(r"Trust it\? \[yes/no\] ")
        it.type("yes\r")
        it.expect("pi5-a: added to")
        assert it.code() == 0
    assert read_devices(project / "devices.toml")["pi5-a"].host_key == sshd_board.host_key


def test_ctrl_c_at_the_question_writes_nothing(board, project):
    with at_terminal(project, *board) as it:
        it.expect(r"Trust it\?")
        it.type("\x03")
        assert it.code() == 130
        assert it.settings() == it.before
    assert not (project / "devices.toml").exists()


@pytest.mark.parametrize(
    "rows",
    ["PasswordAuthentication yes\n", "UsePAM yes\nKbdInteractiveAuthentication yes\n"],
    ids=["password", "answers"],
)
def test_a_password_is_typed_without_echo_and_kept_nowhere(project, rows):
    with password_sshd(rows) as board:
        words = ("devices", "add", "pi5-a", "127.0.0.1", "--port", board.port, "--project")
        with at_terminal(project, *words, "--user", "device") as it:
            it.expect(r"Trust it\?")
            it.type("yes\r")
            it.expect(r"assword for device@127\.0\.0\.1:\d+ \(pi5-a\): ")
            it.type(f"{PASSWORD}\r")
            it.expect("pi5-a: added to")
            assert it.code() == 0
            assert it.settings() == it.before
            assert PASSWORD not in it.shown
    written = [path for path in project.rglob("*") if path.is_file()]
    assert all(PASSWORD not in path.read_text(errors="replace") for path in written)


def test_ctrl_c_while_a_password_is_typed_gives_the_echo_back(project):
    with password_sshd("UsePAM yes\nKbdInteractiveAuthentication yes\n") as board:
        words = ("devices", "add", "pi5-a", "127.0.0.1", "--port", board.port, "--project")
        with at_terminal(project, *words, "--user", "device") as it:
            it.expect(r"Trust it\?")
            it.type("yes\r")
            it.expect(r"assword for ")
            it.type("half a pass\x03")
            assert it.code() == 130
            assert it.settings() == it.before


@pytest.fixture
def reimaged(project, tmp_path, sshd_board):
    """A device whose pinned key is not the one that the board has now."""
    make_key(tmp_path / "old")
    old = " ".join((tmp_path / "old.pub").read_text().split()[:2])
    device = replace(sshd_board, name="pi5-a", host_key=old)
    (project / "devices.toml").write_text(to_toml([device]))
    return device


def test_trust_of_a_changed_key_ends_with_4_and_names_replace(cli, reimaged):
    done = cli("devices", "trust", "pi5-a")
    assert done.exit_code == 4
    assert "slmdeploy devices trust pi5-a --replace" in done.stderr


def test_trust_replace_shows_both_at_a_terminal(reimaged, project, sshd_board):
    with at_terminal(project, "devices", "trust", "pi5-a", "--replace") as it:
        it.expect(str(fingerprint_of(sshd_board.host_key)).replace("+", r"\+"))
        it.expect(str(fingerprint_of(reimaged.host_key)).replace("+", r"\+"))
        it.expect(r"Trust it\?")
        it.type("yes\r")
        it.expect("pinned in")
        assert it.code() == 0


def test_trust_in_a_script(cli_json, reimaged, sshd_board):
    fingerprint = fingerprint_of(sshd_board.host_key)
    words = ("devices", "trust", "pi5-a", "--replace", "--fingerprint", fingerprint)
    code, document = cli_json(*words)
    assert (code, document["changed"], document["witness"]) == (0, True, "fingerprint")
    assert document["old"]["line"] == reimaged.host_key
    assert cli_json("devices", "trust", "pi5-a")[1]["changed"] is False


def test_remove_says_what_stays_on_the_board(cli, reimaged, project):
    assert "would be removed" in cli("devices", "remove", "pi5-a", "--dry-run").stdout
    done = cli("devices", "remove", "pi5-a")
    assert done.exit_code == 0
    assert "stays in ~/.slmdeploy on 127.0.0.1" in done.stderr
    assert read_devices(project / "devices.toml") == {}
    assert cli("devices", "remove", "pi5-a").exit_code == 2


def test_show_follows_the_configuration(cli_json, cli, reimaged, project, monkeypatch):
    config = project / "ssh_config"
    config.write_text(
        "Match exec nothing\n User x\nHost 127.0.0.1\n ProxyJump gate,lab@inner:23\n"
        "Host gate\n HostName 192.0.2.1\n User gatekeeper\n"
    )
    monkeypatch.setenv("SLMDEPLOY_SSH_CONFIG", str(config))
    _, document = cli_json("devices", "show", "pi5-a")
    assert document["fingerprint"] == fingerprint_of(reimaged.host_key)
    assert document["file"] == str(project / "devices.toml")
    assert document["ssh"]["through"] == ["gatekeeper@192.0.2.1:22", "lab@inner:23"]
    text = cli("devices", "show", "pi5-a").stdout
    assert "gatekeeper@192.0.2.1:22, then lab@inner:23" in text
    assert "Match exec is not followed" in text


def test_list_has_fingerprints_and_files(cli_json, reimaged, project):
    _, document = cli_json("devices", "list")
    local, board = document["devices"]
    assert (local["fingerprint"], local["file"]) == (None, None)
    assert board["fingerprint"] == fingerprint_of(reimaged.host_key)
    assert board["file"] == str(project / "devices.toml")


@pytest.mark.parametrize("command", ["show", "trust", "remove", "shell"])
def test_names_of_devices_are_completed(cli, reimaged, monkeypatch, command):
    monkeypatch.setenv("_SLMDEPLOY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"slmdeploy devices {command} p")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert cli().stdout == "plain,pi5-a\n"


def test_an_android_device_is_added_without_a_host_key(cli, project, tmp_path, monkeypatch):
    Phone(tmp_path / "phone", monkeypatch)
    done = cli("devices", "add", "pixel", SERIAL, "--transport", "adb", "--project")
    assert done.exit_code == 0, done.stderr
    assert "authorization stands for it" in done.stderr
    added = read_devices(project / "devices.toml")["pixel"]
    assert (added.transport, added.host, added.board) == ("adb", SERIAL, "android")


def test_an_android_device_that_has_not_allowed_us_is_not_added(
    cli, project, tmp_path, monkeypatch
):
    Phone(tmp_path / "phone", monkeypatch, state="unauthorized")
    done = cli("devices", "add", "pixel", SERIAL, "--transport", "adb", "--project")
    assert done.exit_code == 4
    assert "Unlock its screen" in done.stderr
    assert not (project / "devices.toml").exists()


def test_a_user_is_refused_for_adb(cli):
    done = cli("devices", "add", "pixel", SERIAL, "--transport", "adb", "--user", "me")
    assert done.exit_code == 2
    assert "--user is for SSH" in done.stderr
