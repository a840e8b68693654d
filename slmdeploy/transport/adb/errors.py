"""What ``adb`` says when it cannot reach a device, in our words, each with a way out.

The words are those of AOSP's ``adb/transport.cpp``, ``adb/client/adb_client.cpp`` and
``adb/client/usb_linux.cpp``; they have changed over the years, so parts of them are looked for.
"""

from __future__ import annotations

import re

from slmdeploy.errors import AuthError, ConnectError, HostError, SlmdeployError

__all__ = ["said_by_adb", "state_error", "translate"]

# What is looked for in its words, our class, what happened, what to do.
Row = tuple[str, type[SlmdeployError], str, str]

_ALLOW = (
    "Unlock its screen and allow this computer there ('Allow USB debugging?'). If nothing is "
    "asked, pull the cable and plug it in again."
)
_PLUG = (
    "Is it plugged in, its screen unlocked and USB debugging on (Developer options)? "
    "See: adb devices -l"
)

_RECONNECT = (
    "Run: adb reconnect offline. If that does not help, pull the cable and plug it in again, or "
    "restart the device."
)
_PAIR = (
    "Allow this computer on its screen; over Wi-Fi (Android 11 and newer) run first: "
    "adb pair HOST:PORT"
)
_UDEV = (
    "Install udev rules for Android (Debian: apt-get install android-sdk-platform-tools-common), "
    "join the group plugdev, log in again, and run: adb kill-server"
)
_SERVER = (
    r"cannot connect to daemon|failed to start daemon|daemon still not running|cannot bind|"
    r"failed to check server version|server version .* doesn't match"
)
_AWAY = (
    r"not found|no devices|unable to connect|failed to connect|cannot connect to|"
    r"No route to host|refused|timed out|failed to resolve"
)

TABLE: tuple[Row, ...] = (
    ("unauthorized", AuthError, "it has not allowed this computer yet", _ALLOW),
    ("authorizing", AuthError, "it waits for somebody to allow this computer", _ALLOW),
    (
        "failed to authenticate",
        AuthError,
        "it did not accept this computer's adb key",
        _PAIR,
    ),
    (
        "offline",
        ConnectError,
        "adb calls it offline: it is there and does not answer",
        _RECONNECT,
    ),
    (
        "more than one",
        ConnectError,
        "several devices are attached and none is named",
        "Give its serial as host in devices.toml. Serials are printed by: adb devices -l",
    ),
    (
        r"no permissions|insufficient permissions|USB permission",
        HostError,
        "this computer may not use its USB port",
        _UDEV,
    ),
    (
        _SERVER,
        HostError,
        "the adb server of this computer does not work",
        "Run: adb kill-server && adb start-server",
    ),
    (
        _AWAY,
        ConnectError,
        "it is not attached",
        _PLUG,
    ),
    (r"connecting", ConnectError, "adb is still connecting to it", "Try again in a few seconds."),
    (
        r"recovery|sideload|rescue|bootloader|fastboot",
        ConnectError,
        "it is not running Android now (recovery or boot loader)",
        "Restart it into Android: adb reboot",
    ),
    (
        r"closed|protocol fault|EOF|reset|broken pipe",
        ConnectError,
        "the connection was lost",
        _PLUG,
    ),
)


def said_by_adb(text: str) -> str:
    """What ``adb`` complains of, on a line; its reports on its own server are left out."""
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith("* ")]
    return " ".join(told) or "it said nothing"


def translate(text: str, where: str, doing: str) -> SlmdeployError:
    """Our error for what ``adb`` printed.

    Args:
        text: Its standard error.
        where: The device, for the message.
        doing: What was tried, as in ``reach``.
    """
    said = said_by_adb(text)
    for pattern, kind, what, hint in TABLE:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"Could not {doing} {where}: {what} (adb: {said}).", hint=hint)
    return ConnectError(f"Could not {doing} {where}: adb: {said}.", hint=_PLUG)


def state_error(state: str, where: str) -> SlmdeployError:
    """The error for a state that is not ``device``, as ``adb get-state`` prints it."""
    return translate(state or "no devices", where, "reach")
