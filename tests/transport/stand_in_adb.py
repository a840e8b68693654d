"""Stands in for ``adb``: one phone, which is a folder of this computer.

Does what the real one does for the verbs used, with its messages and exit codes (adb 1.0.41,
platform tools 35): ``-s SERIAL``, ``shell WORDS``, ``push``, ``pull``. The words of ``shell``
are joined with spaces and taken apart by a shell again. What ``STAND_IN_ADB`` says is how
the phone is: ``here``, ``away``, ``offline`` or ``unauthorized``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SERIAL = "R5CT1234567"
SAYINGS = {
    "offline": "adb: device offline",
    "unauthorized": (
        "adb: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n"
        "Try 'adb kill-server' if that seems wrong.\n"
        "Otherwise check for a confirmation dialog on your device."
    ),
}


def main(words: list[str]) -> int:
    state = os.environ.get("STAND_IN_ADB", "here")
    serial = SERIAL
    if words[:1] == ["-s"]:
        serial, words = words[1], words[2:]
    if serial != SERIAL or state == "away":
        return say(f"adb: device '{serial}' not found")
    if state in SAYINGS:
        return say(SAYINGS[state])
    verb, *rest = words
    if verb == "shell":
        return subprocess.run(["/bin/sh", "-c", " ".join(rest)], check=False).returncode & 0xFF
    source, destination = rest
    return copy(verb, source, destination)


def copy(verb: str, source: str, destination: str) -> int:
    if not Path(source).is_file():
        if verb == "pull":
            return say(
                f"adb: error: failed to stat remote object '{source}': No such file or directory"
            )
        return say(f"adb: error: cannot stat '{source}': No such file or directory")
    try:
        shutil.copyfile(source, destination)
    except OSError as error:
        other = "remote" if verb == "push" else "local"
        return say(
            f"adb: error: failed to copy '{source}' to '{destination}': "
            f"{other} couldn't create file: {error.strerror}"
        )
    size = Path(source).stat().st_size
    sys.stdout.write(f"{source}: 1 file {verb}ed, 0 skipped. 99.9 MB/s ({size} bytes in 0.001s)\n")
    return 0


def say(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
