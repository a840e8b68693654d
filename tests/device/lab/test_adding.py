"""Boards come into the inventory by a key that somebody vouched for, and in no other way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from slmdeploy.device.connect import connect
from slmdeploy.device.lab.adding import add_device, file_for, remove_device, trust_device
from slmdeploy.device.lab.devices_toml import read_devices, to_toml
from slmdeploy.device.lab.fingerprint import fingerprint_of
from slmdeploy.device.lab.inventory import Inventory, load_inventory
from slmdeploy.device.project import Project
from slmdeploy.device.types import Device
from slmdeploy.errors import AuthError, ConnectError, HostKeyError, ProfileError, UsageError
from slmdeploy.transport.prompt import answered_by
from tests.boards.sshd import SshdBoard, make_key
from tests.transport.answers import Answers


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without keys, known hosts or agent."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SLMDEPLOY_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The inventory of an empty project."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / "devices.toml"


@pytest.fixture
def new(sshd_board: Device) -> Device:
    """The board as somebody who adds it knows it."""
    return replace(sshd_board, name="pi5-a", board=None, host_key=None)


@pytest.fixture
def inventory(file: Path) -> Callable[[], Inventory]:
    """The inventory as it is now."""
    return lambda: load_inventory(Project(file.parent))


def remember(tmp_path: Path, device: Device, line: str | None) -> None:
    known_hosts = tmp_path / ".ssh" / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{device.port} {line}\n")


def another_key(tmp_path: Path, kind: str = "ed25519") -> str:
    make_key(tmp_path / f"other {kind}", kind=kind)
    return " ".join((tmp_path / f"other {kind}.pub").read_text().split()[:2])


def test_the_fingerprint_is_shown_and_asked_for(
    new: Device, file: Path, inventory: Callable[[], Inventory], sshd_board: Device
):
    answers = Answers("yes")
    with answered_by(answers):
        added = add_device(new, file, inventory())
    [question] = answers.asked
    assert f"ssh-ed25519 {fingerprint_of(sshd_board.host_key)}" in question
    assert "ssh-keygen -lf" in question
    assert (added.witness, added.logged_in, added.key.line) == ("answer", True, sshd_board.host_key)
    assert inventory().get("pi5-a") == added.device
    with closing(connect(inventory().get("pi5-a"))) as board:
        board.check(["true"])


def test_what_another_terminal_adds_while_the_key_is_compared_stays(
    new: Device, file: Path, inventory: Callable[[], Inventory]
):
    class Slow(Answers):
        def line(self, question: str) -> str:
            file.write_text(to_toml([replace(new, name="pi5-b")]))
            return super().line(question)

    with answered_by(Slow("yes")):
        add_device(new, file, inventory())
    assert sorted(read_devices(file)) == ["pi5-a", "pi5-b"]


def test_a_no_writes_nothing(new: Device, file: Path, inventory: Callable[[], Inventory]):
    with answered_by(Answers("no")), pytest.raises(HostKeyError, match="was not accepted"):
        add_device(new, file, inventory())
    assert not file.exists()


def test_without_a_terminal_and_without_a_fingerprint_it_is_refused(
    new: Device, file: Path, inventory: Callable[[], Inventory]
):
    with pytest.raises(HostKeyError, match="there is no terminal to ask") as caught:
        add_device(new, file, inventory())
    assert "same command again with --fingerprint SHA256:" in str(caught.value.hint)
    assert caught.value.exit_code == 4
    assert not file.exists()


def test_a_key_in_known_hosts_needs_no_question(
    new: Device,
    file: Path,
    inventory: Callable[[], Inventory],
    sshd_board: Device,
    tmp_path: Path,
):
    remember(tmp_path, new, sshd_board.host_key)
    added = add_device(new, file, inventory())
    assert (added.witness, added.key.line) == ("known_hosts", sshd_board.host_key)


def test_another_key_in_known_hosts_refuses(
    new: Device, file: Path, inventory: Callable[[], Inventory], tmp_path: Path
):
    remember(tmp_path, new, another_key(tmp_path))
    with pytest.raises(HostKeyError, match="has changed") as caught:
        add_device(new, file, inventory())
    assert f"ssh-keygen -R '[127.0.0.1]:{new.port}'" in str(caught.value.hint)
    assert not file.exists()


def test_a_fingerprint_is_enough_for_a_script(
    new: Device,
    file: Path,
    inventory: Callable[[], Inventory],
    sshd_board: Device,
    tmp_path: Path,
):
    fingerprint = fingerprint_of(sshd_board.host_key)
    remember(tmp_path, new, another_key(tmp_path))
    added = add_device(new, file, inventory(), fingerprint=fingerprint)
    assert (added.witness, added.stale) == ("fingerprint", f"[127.0.0.1]:{new.port}")
    assert read_devices(file)["pi5-a"].host_key == sshd_board.host_key


def test_another_fingerprint_is_refused(
    new: Device, file: Path, inventory: Callable[[], Inventory], tmp_path: Path
):
    wanted = fingerprint_of(another_key(tmp_path))
    with pytest.raises(HostKeyError, match="does not offer the host key SHA256:"):
        add_device(new, file, inventory(), fingerprint=wanted)
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "SHA256:short", "MD5:aa:bb", "ssh-ed25519 AAAA"])
def test_what_is_no_fingerprint_is_a_usage_error(
    new: Device, file: Path, inventory: Callable[[], Inventory], text: str
):
    with pytest.raises(UsageError, match="is no fingerprint"):
        add_device(new, file, inventory(), fingerprint=text)


def test_of_several_host_keys_ed25519_is_preferred_and_any_may_be_named(
    own_sshd: SshdBoard, file: Path, inventory: Callable[[], Inventory], tmp_path: Path
):
    lines = {}
    rows = own_sshd.folder / "sshd_config"
    for kind in ("rsa", "ecdsa"):
        make_key(own_sshd.folder / f"host_{kind}", kind=kind)
        public = (own_sshd.folder / f"host_{kind}.pub").read_text()
        lines[kind] = " ".join(public.split()[:2])
        # First in the list, so that the preference is ours.
        rows.write_text(f"HostKey {own_sshd.folder}/host_{kind}\n{rows.read_text()}")
    own_sshd.kill()
    own_sshd.start()
    board = replace(own_sshd.device("many"), host_key=None)
    with answered_by(Answers("yes")):
        assert add_device(board, file, inventory()).key.line == own_sshd.host_key
    for kind, line in lines.items():
        named = replace(board, name=kind)
        added = add_device(named, file, inventory(), fingerprint=fingerprint_of(line))
        assert added.key.line == line
    remember(tmp_path, board, lines["rsa"])
    known = add_device(replace(board, name="known"), file, inventory())
    assert (known.key.line, known.witness) == (lines["rsa"], "known_hosts")


def test_a_board_that_does_not_let_us_in_is_not_written_down(
    new: Device, file: Path, inventory: Callable[[], Inventory], tmp_path: Path
):
    make_key(tmp_path / "stranger")
    stranger = replace(new, identity_file=tmp_path / "stranger")
    with answered_by(Answers("yes")), pytest.raises(AuthError):
        add_device(stranger, file, inventory())
    assert not file.exists()
    with answered_by(Answers("yes")):
        added = add_device(stranger, file, inventory(), login=False)
    assert (added.logged_in, file.exists()) == (False, True)


def test_a_board_that_is_away_is_not_written_down(
    new: Device, file: Path, inventory: Callable[[], Inventory]
):
    with pytest.raises(ConnectError):
        add_device(replace(new, port=1), file, inventory())
    assert not file.exists()


def test_a_dry_run_looks_and_neither_asks_nor_writes(
    new: Device, file: Path, inventory: Callable[[], Inventory], sshd_board: Device
):
    answers = Answers()
    with answered_by(answers):
        added = add_device(new, file, inventory(), dry_run=True)
    assert (added.dry_run, added.witness, added.key.line) == (True, None, sshd_board.host_key)
    assert (answers.asked, file.exists()) == ([], False)


def test_why_there_is_no_kind_of_board_is_said(
    new: Device, file: Path, inventory: Callable[[], Inventory]
):
    with answered_by(Answers("yes")):
        added = add_device(new, file, inventory())
    if not Path("/proc/device-tree").exists():
        assert added.board_reason == "it has no device tree, so it tells no board"
    assert added.board_guessed == (added.device.board is not None)


def test_a_name_is_taken_once(new: Device, file: Path, inventory: Callable[[], Inventory]):
    file.write_text(to_toml([new]))
    with pytest.raises(UsageError, match=r"There is a device 'pi5-a' in .* already"):
        add_device(new, file, inventory())
    with pytest.raises(UsageError, match="'local' is this computer"):
        add_device(replace(new, name="local"), file, inventory())


def test_what_the_project_has_would_hide_it_in_the_users_file(
    new: Device, file: Path, inventory: Callable[[], Inventory], tmp_path: Path
):
    file.write_text(to_toml([new]))
    users = tmp_path / "config" / "devices.toml"
    with pytest.raises(UsageError, match="There is a device 'pi5-a'"):
        add_device(new, users, inventory())
    users.parent.mkdir()
    users.write_text(to_toml([replace(new, name="pi5-b", host="elsewhere")]))
    with answered_by(Answers("yes")):
        add_device(replace(new, name="pi5-b"), file, inventory())
    assert inventory().get("pi5-b").host == "127.0.0.1"


@pytest.mark.parametrize(
    "wrong", [{"name": "all"}, {"name": "a b"}, {"host": "lab@pi"}, {"labels": {"a": "\n"}}]
)
def test_wrong_values_are_refused_before_anything_is_connected(
    new: Device, file: Path, inventory: Callable[[], Inventory], wrong: dict[str, object]
):
    device = replace(new, port=1, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="the new device"):
        add_device(device, file, inventory())


def test_it_goes_to_the_project_where_there_is_one(tmp_path: Path):
    project = Project(tmp_path)
    users = tmp_path / "config" / "devices.toml"
    assert file_for(project) == users
    assert file_for(project, choice=True) == tmp_path / "devices.toml"
    (tmp_path / "slmdeploy.toml").write_text("")
    assert file_for(project) == tmp_path / "devices.toml"
    assert file_for(project, choice=False) == users


# A board that was set up anew.


@pytest.fixture
def reimaged(sshd_board: Device, file: Path, tmp_path: Path) -> Device:
    """A device whose pinned key is not the one that the board has now."""
    device = replace(sshd_board, name="pi5-a", host_key=another_key(tmp_path))
    file.write_text(f"# the lab\n{to_toml([device])}# end\n")
    return device


def test_a_changed_key_is_refused_with_both_and_the_way_out(reimaged: Device, sshd_board: Device):
    with pytest.raises(HostKeyError) as caught:
        connect(reimaged)
    for line in (reimaged.host_key, sshd_board.host_key):
        assert str(fingerprint_of(line)) in caught.value.message
    assert str(caught.value.hint).endswith("slmdeploy devices trust pi5-a --replace")


def test_trust_alone_does_not_replace(
    reimaged: Device, file: Path, inventory: Callable[[], Inventory]
):
    before = file.read_text()
    with answered_by(Answers()), pytest.raises(HostKeyError, match="has changed"):
        trust_device("pi5-a", inventory())
    assert file.read_text() == before


def test_replace_shows_old_and_new_and_asks(
    reimaged: Device, file: Path, inventory: Callable[[], Inventory], sshd_board: Device
):
    answers = Answers("yes")
    before = file.read_text()
    with answered_by(answers):
        done = trust_device("pi5-a", inventory(), replace_old=True)
    [question] = answers.asked
    assert str(fingerprint_of(reimaged.host_key)) in question
    assert str(fingerprint_of(sshd_board.host_key)) in question
    assert (done.changed, done.witness) == (True, "answer")
    assert file.read_text() == before.replace(str(reimaged.host_key), str(sshd_board.host_key))
    with closing(connect(inventory().get("pi5-a"))) as board:
        board.check(["true"])


def test_replace_in_a_script_needs_the_fingerprint(
    reimaged: Device, file: Path, inventory: Callable[[], Inventory], sshd_board: Device
):
    before = file.read_text()
    with pytest.raises(HostKeyError, match="no terminal") as caught:
        trust_device("pi5-a", inventory(), replace_old=True)
    assert "same command again with --fingerprint SHA256:" in str(caught.value.hint)
    fingerprint = fingerprint_of(sshd_board.host_key)
    with pytest.raises(HostKeyError, match="has changed"):
        trust_device("pi5-a", inventory(), fingerprint=fingerprint)
    dry = trust_device(
        "pi5-a", inventory(), fingerprint=fingerprint, replace_old=True, dry_run=True
    )
    assert (dry.changed, file.read_text()) == (True, before)
    trust_device("pi5-a", inventory(), fingerprint=fingerprint, replace_old=True)
    assert read_devices(file)["pi5-a"].host_key == sshd_board.host_key


def test_a_device_that_was_written_by_hand_is_trusted_once(
    new: Device, file: Path, inventory: Callable[[], Inventory], sshd_board: Device
):
    file.write_text(to_toml([new]))
    with pytest.raises(HostKeyError) as caught:
        connect(new)
    assert str(caught.value.hint).endswith("slmdeploy devices trust pi5-a")
    with answered_by(Answers("yes")):
        assert trust_device("pi5-a", inventory()).changed
    with answered_by(Answers()):
        assert not trust_device("pi5-a", inventory()).changed


def test_a_pinned_key_that_is_no_key_can_be_replaced(
    new: Device, file: Path, inventory: Callable[[], Inventory], sshd_board: Device
):
    file.write_text(to_toml([replace(new, host_key="ssh-ed25519 AAAA")]))
    with pytest.raises(HostKeyError, match="is not a key"):
        trust_device("pi5-a", inventory())
    with answered_by(Answers("yes")):
        trust_device("pi5-a", inventory(), replace_old=True)
    assert read_devices(file)["pi5-a"].host_key == sshd_board.host_key


def test_what_has_no_host_key_cannot_be_trusted(file: Path, inventory: Callable[[], Inventory]):
    file.write_text('[devices.phone]\ntransport = "adb"\n')
    with pytest.raises(UsageError, match="'adb', which has no host keys"):
        trust_device("phone", inventory())
    with pytest.raises(UsageError, match="is this computer"):
        trust_device("local", inventory())


def test_a_removed_device_leaves_the_rest_and_uncovers_the_users(
    new: Device, file: Path, inventory: Callable[[], Inventory], tmp_path: Path
):
    file.write_text(to_toml([new, replace(new, name="pi5-b")]))
    users = tmp_path / "config" / "devices.toml"
    users.parent.mkdir()
    users.write_text(to_toml([new]))
    assert remove_device("pi5-a", inventory(), dry_run=True).dry_run
    assert len(read_devices(file)) == 2
    removed = remove_device("pi5-a", inventory())
    assert (removed.file, removed.uncovers) == (file, users)
    assert list(read_devices(file)) == ["pi5-b"]
    assert remove_device("pi5-a", inventory()).uncovers is None
    with pytest.raises(UsageError, match="Unknown device 'pi5-a'"):
        remove_device("pi5-a", inventory())
    with pytest.raises(UsageError, match="is this computer"):
        remove_device("local", inventory())
