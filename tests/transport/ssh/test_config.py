"""~/.ssh/config completes what the inventory says, and never overrules it."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.errors import ConnectError, ProfileError
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.ssh.config import (
    CONFIG_VARIABLE,
    SshTarget,
    config_file,
    config_text,
    resolve,
)

PI = Endpoint("pi5-a", host="pi")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with an empty configuration."""
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    return tmp_path


def resolved(home: Path, text: str, endpoint: Endpoint = PI) -> SshTarget:
    (home / ".ssh" / "config").write_text(text)
    return resolve(endpoint)


def test_without_a_configuration_the_usual_holds(home: Path):
    assert resolve(PI) == SshTarget(
        name="pi5-a",
        alias="pi",
        host="pi",
        port=22,
        user=getpass.getuser(),
        usual_files=tuple(home / ".ssh" / f"id_{kind}" for kind in ("ed25519", "ecdsa", "rsa")),
        known_hosts=(
            home / ".ssh" / "known_hosts",
            home / ".ssh" / "known_hosts2",
            Path("/etc/ssh/ssh_known_hosts"),
        ),
    )


def test_the_host_of_a_device_may_be_an_alias(home: Path):
    text = """
Host pi
    HostName 10.0.0.5
    User lab
    Port 2222
    IdentityFile ~/.ssh/pi
    IdentityFile %d/.ssh/%r_key
    IdentitiesOnly yes
    HostKeyAlias the-pi
    UserKnownHostsFile ~/lab_hosts "~/more hosts"
    ConnectTimeout 4
"""
    found = resolved(home, text)
    assert (found.host, found.port, found.user) == ("10.0.0.5", 2222, "lab")
    assert found.usual_files == (home / ".ssh" / "pi", home / ".ssh" / "lab_key")
    assert found.identities_only
    assert (found.known_as, found.known_name, found.timeout) == ("the-pi", "the-pi", 4)
    assert found.known_hosts[:2] == (home / "lab_hosts", home / "more hosts")
    assert found.where == "pi5-a (10.0.0.5:2222)"


def test_what_the_inventory_says_wins(home: Path):
    text = "Host pi\n User other\n Port 1\n IdentityFile ~/other\n ProxyCommand nc %h %p %r\n"
    mine = Endpoint("pi5-a", "pi", port=2222, user="lab", identity_file=Path("/k"))
    found = resolved(home, text, mine)
    assert (found.port, found.user, found.identity_file) == (2222, "lab", Path("/k"))
    assert found.usual_files == ()
    assert found.proxy_command == ("nc", "pi", "2222", "lab")


def test_the_first_value_counts_and_patterns_match(home: Path):
    text = "Host pi\n User first\nHost p* !pie\n User second\n Port 7\n"
    assert (resolved(home, text).user, resolved(home, text).port) == ("first", 7)


def test_a_program_without_a_shell(home: Path):
    found = resolved(home, "Host pi\n ProxyCommand sh -c 'exec nc %h %p'\n HostName 10.0.0.5\n")
    assert found.proxy_command == ("sh", "-c", "exec nc 10.0.0.5 22")


def test_a_chain_of_jump_hosts_each_with_a_block_of_its_own(home: Path):
    text = """
Host pi
    ProxyJump outer,inner@[fe80::7]:2022,ssh://deep:23
Host outer
    HostName 192.0.2.1
    User gate
    Port 2200
    IdentityFile ~/gate_key
    UserKnownHostsFile ~/gate_hosts
Host deep
    User lab
    ProxyJump elsewhere
"""
    last = resolved(home, text).via
    assert last is not None
    assert last.is_jump
    assert (last.name, last.user, last.address) == ("jump host deep", "lab", "deep:23")
    middle = last.via
    assert middle is not None
    assert (middle.user, middle.address) == ("inner", "[fe80::7]:2022")
    first = middle.via
    assert first is not None
    assert (first.user, first.address, first.via) == ("gate", "192.0.2.1:2200", None)
    assert first.usual_files == (home / "gate_key",)
    assert first.known_hosts[0] == home / "gate_hosts"


def test_a_jump_host_of_every_host_is_not_its_own(home: Path):
    found = resolved(home, "Host *\n ProxyJump gate\n")
    assert found.via is not None
    assert found.via.alias == "gate"
    assert found.via.via is None


def test_a_circle_of_jump_hosts_is_refused(home: Path):
    text = "Host pi\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n"
    with pytest.raises(ProfileError, match="without a circle"):
        resolved(home, text)


@pytest.mark.parametrize("keyword", ["ProxyJump", "ProxyCommand"])
def test_none_is_a_way_without_detours(home: Path, keyword: str):
    text = f"Host pi\n {keyword} none\nHost *\n ProxyJump gate\n ProxyCommand nc %h %p\n"
    found = resolved(home, text)
    assert (found.via, found.proxy_command) == (None, ())


def test_of_the_two_ways_the_first_counts(home: Path):
    text = "Host pi\n ProxyCommand nc %h %p\nHost *\n ProxyJump gate\n"
    assert resolved(home, text).via is None
    text = "Host pi\n ProxyJump gate\nHost *\n ProxyCommand nc %h %p\n"
    assert resolved(home, text).proxy_command == ()


def test_no_identity_file_but_the_agents(home: Path):
    assert resolved(home, "Host pi\n IdentityFile none\n").usual_files == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Host pi\n Port many\n", "port of 'pi' must be a number from 1 to 65535, not 'many'"),
        ("Host pi\n Port 70000\n", "must be a number"),
        ("Host pi\n ProxyJump a b\n", "user@host:port"),
        ("Host pi\n ProxyJump a,,b\n", "user@host:port"),
        ('Host pi\n ProxyCommand nc "%h\n', "quotation marks"),
        ("Host pi\n nonsense\n", "cannot be used for pi5-a"),
        ('Host "pi\n Port 1\n', "cannot be used for pi5-a"),
        ('Match host "pi\n Port 1\n', "open quotation mark"),
        ("Match all host pi\n Port 1\n", "cannot be used for pi5-a"),
        ("Host pi\n CanonicalizeHostname yes\n", "cannot be used for pi5-a"),
    ],
)
def test_a_fault_is_told_with_its_value(home: Path, text: str, said: str):
    with pytest.raises(ProfileError, match=said) as caught:
        resolved(home, text)
    assert caught.value.exit_code == 2


def test_an_endpoint_without_a_host():
    with pytest.raises(ConnectError, match="pi5-a has no host"):
        resolve(Endpoint("pi5-a"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "-oProxyCommand=reboot"},
        {"host": "pi;reboot"},
        {"host": "pi`reboot`"},
        {"host": "pi\nProxyCommand reboot"},
        {"user": "-x"},
        {"user": "lab$(reboot)"},
        {"user": "lab\nProxyCommand reboot"},
    ],
    ids=repr,
)
def test_names_that_a_shell_would_read_are_refused(home: Path, wrong: dict[str, str]):
    (home / ".ssh" / "config").write_text("Host *\n ProxyCommand ssh gate nc %h %p\n")
    with pytest.raises(ProfileError, match="cannot be"):
        resolve(Endpoint(**{"name": "pi5-a", "host": "pi", **wrong}))


def test_a_user_of_a_domain_is_a_name(home: Path):
    assert resolved(home, "", Endpoint("pi5-a", "pi", user="LAB\\me")).user == "LAB\\me"


def test_another_configuration_or_none(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / ".ssh" / "config").write_text("Host pi\n User usual\n")
    (home / "other").write_text("Host pi\n User other\n")
    assert resolve(PI, home / "other").user == "other"
    monkeypatch.setenv(CONFIG_VARIABLE, "~/other")
    assert (resolve(PI).user, config_file()) == ("other", home / "other")
    monkeypatch.setenv(CONFIG_VARIABLE, "none")
    assert (resolve(PI).user, config_file()) == (getpass.getuser(), None)


def test_a_configuration_that_is_named_and_not_there_is_no_empty_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(CONFIG_VARIABLE, str(home / "othr"))
    with pytest.raises(ProfileError, match=r"SLMDEPLOY_SSH_CONFIG names .*othr") as caught:
        resolve(PI)
    assert caught.value.exit_code == 2


def test_included_files_stand_where_they_are_included(home: Path):
    (home / ".ssh" / "config.d").mkdir()
    (home / ".ssh" / "config.d" / "b").write_text("Host pi\n User second\n Port 8\n")
    (home / ".ssh" / "config.d" / "a").write_text("Host pi\n User first\nHost pie\n Port 9\n")
    (home / "deeper").write_text("IdentitiesOnly yes\n")
    text = 'Include config.d/*\nInclude "~/deeper" nothing-there\nHost pi\n HostName 10.0.0.5\n'
    found = resolved(home, text)
    assert (found.user, found.port, found.host) == ("first", 8, "10.0.0.5")
    assert found.identities_only


def test_a_file_included_into_a_block_belongs_to_it(home: Path):
    (home / "more").write_text("User lab\n")
    text = "Host pi\n Include ~/more\n Port 7\nHost other\n Include ~/more\n Port 8\n"
    assert (resolved(home, text).user, resolved(home, text).port) == ("lab", 7)


def test_blocks_included_into_a_block_are_refused(home: Path):
    (home / "more").write_text("Host pi\n User lab\n")
    with pytest.raises(ProfileError, match=r"more, line 1: Host inside of the block 'Host pi'"):
        resolved(home, "Host pi\n Include ~/more\n")


def test_files_that_include_each_other_are_refused(home: Path):
    (home / "a").write_text("Include ~/a\n")
    with pytest.raises(ProfileError, match="more than 16 files"):
        resolved(home, "Include ~/a\n")


def test_match_follows_host_and_user(home: Path):
    text = "Match host pi user lab\n Port 7\nMatch OriginalHost p*\n IdentitiesOnly yes\n"
    assert resolved(home, text, Endpoint("pi5-a", "pi", user="lab")).port == 7
    assert resolved(home, text, Endpoint("pi5-a", "pi", user="other")).port == 22
    assert resolved(home, text).identities_only


@pytest.mark.parametrize("criterion", ["exec", "!exec", "Exec", "tagged", "localnetwork"])
def test_a_match_that_would_run_something_is_left_out_and_told(home: Path, criterion: str):
    marker = home / "it ran"
    text = f"Match host pi {criterion} \"touch '{marker}'\"\n User lab\nHost pi\n Port 7\n"
    found = resolved(home, text)
    assert (found.user, found.port) == (getpass.getuser(), 7)
    assert not marker.exists()
    [remark] = config_text().remarks
    assert "line 1" in remark
    assert "is not followed" in remark


def test_a_file_that_cannot_be_read_is_named(home: Path):
    (home / ".ssh" / "config").mkdir()
    with pytest.raises(ProfileError, match=r"config cannot be read: Is a directory"):
        resolve(PI)


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(
    user=st.none() | NAMES,
    host=NAMES,
    port=st.none() | st.integers(1, 65535),
    count=st.integers(1, 3),
)
def test_any_jump_host_is_read_as_it_is_written(
    tmp_path_factory: pytest.TempPathFactory,
    user: str | None,
    host: str,
    port: int | None,
    count: int,
):
    hop = f"{user}@" if user else ""
    hop += f"jump-{host}" + (f":{port}" if port else "")
    config = tmp_path_factory.mktemp("config") / "config"
    config.write_text(f"Host pi\n ProxyJump {','.join([hop] * count)}\n")
    target = resolve(PI, config).via
    for _ in range(count):
        assert target is not None
        assert (target.host, target.port) == (f"jump-{host}", port or 22)
        assert target.user == (user or getpass.getuser())
        target = target.via
    assert target is None
