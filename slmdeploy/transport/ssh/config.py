"""Where a connection really goes: the endpoint, completed by ``~/.ssh/config``.

What the endpoint says itself wins. ``SLMDEPLOY_SSH_CONFIG`` names another file, or
``none``. Keywords are those of ssh_config(5).
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from paramiko.config import SSHConfig
from paramiko.ssh_exception import ConfigParseError, CouldNotCanonicalize

from slmdeploy.errors import ConnectError, ProfileError
from slmdeploy.transport.endpoint import Endpoint
from slmdeploy.transport.ssh.config_text import ConfigText, read_config

__all__ = ["CONFIG_VARIABLE", "SSH_PORT", "SshTarget", "config_file", "config_text", "resolve"]

CONFIG_VARIABLE = "SLMDEPLOY_SSH_CONFIG"
SSH_PORT = 22
USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
# What no host and no user is called: it would be read by the shell that a ProxyCommand may
# start here or on a jump host. OpenSSH refuses the same since 9.6 (CVE-2023-51385).
NO_HOST_NAME = re.compile(r"""^-|['`"$\\;&<>|(){}\s\x00-\x1f\x7f]""")
NO_USER_NAME = re.compile(r"""^-|['`";&<>|(){}\x00-\x1f\x7f]|\s-|\\$""")
KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")
HOP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^\s@]+)@)?(?:\[(?P<six>[^\s\]]+)\]|(?P<host>[^\s:@/\[\]]+))"
    r"(?::(?P<port>\d+))?/?"
)


@dataclass(frozen=True)
class SshTarget:
    """An SSH server and how to get to it, with nothing left to look up.

    Attributes:
        name: The device, or ``jump host NAME``, for messages.
        alias: What was looked up in the configuration.
        host: Host name or address.
        port: TCP port.
        user: Name to log in with.
        is_jump: It is a jump host, and so no device of the inventory.
        identity_file: The key that the inventory names; it must be there.
        usual_files: Keys that are used if they are there.
        identities_only: The agent may show no other keys than these.
        host_key: The pinned host key; ``None`` to look into ``known_hosts``.
        known_as: Its name in ``known_hosts``, if it is not its address.
        known_hosts: Files of known host keys.
        via: The jump host before it.
        proxy_command: The program that carries the connection.
        timeout: Seconds for the connection, the handshake and the login, each;
            ``None`` for the usual.
    """

    name: str
    alias: str
    host: str
    port: int
    user: str
    is_jump: bool = False
    identity_file: Path | None = None
    usual_files: tuple[Path, ...] = ()
    identities_only: bool = False
    host_key: str | None = None
    known_as: str | None = None
    known_hosts: tuple[Path, ...] = ()
    via: SshTarget | None = None
    proxy_command: tuple[str, ...] = ()
    timeout: float | None = None

    @property
    def where(self) -> str:
        """The device and its address, for messages."""
        return f"{self.name} ({self.address})"

    @property
    def known_name(self) -> str:
        """Its name in ``known_hosts``, as in sshd(8): ``[host]:port`` off port 22."""
        if self.known_as is not None:
            return self.known_as
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def config_file() -> Path | None:
    """The configuration of the user; ``None`` if none is wanted."""
    moved = os.environ.get(CONFIG_VARIABLE)
    if moved == "none":
        return None
    return Path(moved).expanduser() if moved else Path.home() / ".ssh" / "config"


def config_text(file: Path | None = None) -> ConfigText:
    """The configuration as one text, with remarks on what is not followed.

    Args:
        file: By default the one of ``config_file``.

    Raises:
        ProfileError: It cannot be read, or ``SLMDEPLOY_SSH_CONFIG`` names one that is not there.
    """
    chosen = file or config_file()
    named = file is None and bool(os.environ.get(CONFIG_VARIABLE))
    if named and chosen is not None and not chosen.is_file():
        raise ProfileError(
            f"{CONFIG_VARIABLE} names {chosen}, and there is no such file.",
            hint=f"Correct it, or without one: {CONFIG_VARIABLE}=none",
        )
    return ConfigText("") if chosen is None else read_config(chosen)


def resolve(endpoint: Endpoint, config: Path | None = None) -> SshTarget:
    """Complete an endpoint by the configuration.

    Args:
        endpoint: What the inventory says; its ``host`` may be an alias.
        config: The configuration file; by default the user's.

    Raises:
        ConnectError: The endpoint has no host.
        ProfileError: The configuration has a fault, or the host or the user is no name.
    """
    if endpoint.host is None:
        raise ConnectError(f"{endpoint.name} has no host.", hint="Add it to devices.toml.")
    for what, value, wrong in (
        ("host", endpoint.host, NO_HOST_NAME),
        ("user", endpoint.user or "", NO_USER_NAME),
    ):
        if wrong.search(value):
            raise ProfileError(f"The {what} of {endpoint.name} cannot be {value!r}.")
    return _resolved(endpoint, endpoint.host, config_text(config).text, ())


def _resolved(
    endpoint: Endpoint,
    alias: str,
    text: str,
    above: tuple[str, ...],
    before: SshTarget | None = None,
) -> SshTarget:
    """One server; with the jump host ``before`` it, its own block names no further way."""
    found = _Found(alias, _lookup(alias, endpoint, text))
    target = SshTarget(
        name=endpoint.name,
        alias=alias,
        host=found.text("hostname") or alias,
        port=endpoint.port or found.number("port", 65535) or SSH_PORT,
        user=endpoint.user or found.text("user") or getpass.getuser(),
        identity_file=endpoint.identity_file,
        usual_files=() if endpoint.identity_file else found.identity_files(),
        identities_only=found.text("identitiesonly") == "yes",
        host_key=endpoint.host_key,
        known_as=found.text("hostkeyalias"),
        known_hosts=found.known_hosts(),
        timeout=found.number("connecttimeout", 86400),
    )
    if before is not None:
        return replace(target, via=before)
    if found.proxy() == "proxycommand":
        return replace(target, proxy_command=found.words("proxycommand"))
    if found.proxy() == "proxyjump":
        return replace(target, via=_jump(found, target, text, above))
    return target


def _lookup(alias: str, endpoint: Endpoint, text: str) -> Mapping[str, str | list[str] | None]:
    """What holds for a host. Its own user and port come first: the first value is taken."""
    own = [("User", endpoint.user), ("Port", endpoint.port)]
    first = "".join(f"{key} {value}\n" for key, value in own if value is not None)
    try:
        return SSHConfig.from_text(f"Host *\n{first}Host *\n{text}").lookup(alias)
    except (ConfigParseError, CouldNotCanonicalize, ValueError, KeyError) as error:
        raise ProfileError(
            f"The SSH configuration cannot be used for {endpoint.name} ({alias}): {error}.",
            hint=f"Look at {config_file()}, or set {CONFIG_VARIABLE} to another file or to none.",
        ) from error


def _jump(found: _Found, target: SshTarget, text: str, above: tuple[str, ...]) -> SshTarget | None:
    """The last jump host of a chain; each one before it is the way to the next."""
    last: SshTarget | None = None
    for hop in (found.text("proxyjump") or "").split(","):
        parsed = HOP.fullmatch(hop.strip())
        if parsed is None:
            raise found.fault("proxyjump", "user@host:port, several divided by commas")
        alias = parsed["six"] or parsed["host"]
        if alias in above:
            raise found.fault("proxyjump", f"a way without a circle ({' -> '.join(above)})")
        if alias == target.alias:  # "Host *" with a ProxyJump: the jump host itself has none
            continue
        port = int(parsed["port"]) if parsed["port"] else None
        endpoint = Endpoint(f"jump host {alias}", alias, port, parsed["user"])
        inner = _resolved(endpoint, alias, text, (*above, target.alias), before=last)
        last = replace(inner, is_jump=True)
    return last


class _Found:
    """What the configuration says of one host; each value is checked when it is taken."""

    def __init__(self, alias: str, values: Mapping[str, str | list[str] | None]) -> None:
        self._alias = alias
        self._values = values

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        return value if isinstance(value, str) and value.lower() != "none" else None

    def number(self, key: str, largest: int) -> int | None:
        value = self.text(key)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit() or not 0 < int(value) <= largest:
            raise self.fault(key, f"a number from 1 to {largest}")
        return int(value)

    def words(self, key: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(self.text(key) or ""))
        except ValueError as error:
            raise self.fault(key, "words whose quotation marks are closed") from error

    def proxy(self) -> str | None:
        """Which of the two ways came first; that one counts, even if it is ``none``."""
        ways = (key for key in self._values if key in {"proxyjump", "proxycommand"})
        first = next(ways, None)
        return first if first is not None and self.text(first) is not None else None

    def identity_files(self) -> tuple[Path, ...]:
        named = self._values.get("identityfile")
        if isinstance(named, list):
            return tuple(Path(name).expanduser() for name in named if name.lower() != "none")
        return tuple(Path.home() / ".ssh" / name for name in USUAL_KEYS)

    def known_hosts(self) -> tuple[Path, ...]:
        named = self.words("userknownhostsfile") if "userknownhostsfile" in self._values else None
        chosen = KNOWN_HOSTS if named is None else (*named, *KNOWN_HOSTS[2:])
        return tuple(Path(name).expanduser() for name in chosen)

    def fault(self, key: str, wanted: str) -> ProfileError:
        return ProfileError(
            f"{config_file()}: {key} of {self._alias!r} must be {wanted}, "
            f"not {self._values.get(key)!r}."
        )
