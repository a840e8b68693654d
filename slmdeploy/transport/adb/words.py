"""Words for the shell of a device: adb joins its arguments by blanks, so we quote each.

``adb shell a b`` sends ``a b`` to ``/system/bin/sh -c`` (AOSP ``adb/client/commandline.cpp``
and ``adb/daemon/shell_service.cpp``). That shell is mksh; single quotes mean the same to it
as to every POSIX shell (POSIX.1-2017, 2.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable

from slmdeploy.errors import CommandError

__all__ = ["command_line", "quoted"]


def quoted(word: str) -> str:
    """A word in single quotes, whatever is in it."""
    return "'" + word.replace("'", "'\\''") + "'"


def command_line(words: Iterable[str]) -> str:
    """One line for the shell of a device.

    Raises:
        CommandError: A word has a NUL byte, which no command can be given.
    """
    listed = tuple(words)
    for word in listed:
        if "\0" in word:
            raise CommandError(listed, 126, f"a word of the command holds a NUL byte: {word!r}")
    return " ".join(map(quoted, listed))
