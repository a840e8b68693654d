"""Phones for tests: devices of a stand-in ``adb`` (see ``standin``), which is put on PATH.

Their shell is mksh and their tools are toybox where these are installed, as on Android, and
those of one busybox otherwise.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slmdeploy.device.types import Device

STANDIN = Path(__file__).parent / "standin.py"
SERIAL = "R5CT10XYZ"
PROTOCOL = ["shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", "abb_exec"]
# Debian builds its toybox without these; Android has its awk from elsewhere.
FROM_BUSYBOX = ("awk", "dd", "diff", "expr", "tar", "tr")


class Phone:
    """A phone, and the ``adb`` that reaches it; its state may be changed at any time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **device: object) -> None:
        self.folder = folder
        self.home = folder / "data" / "slmdeploy"
        (folder / "bin").mkdir(parents=True)
        (folder / "data").mkdir()
        adb = folder / "bin" / "adb"
        adb.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{STANDIN}" "$@"\n')
        adb.chmod(0o755)
        make_tools(folder / "tools")
        self.set(features=True)
        self.attach(**device)
        monkeypatch.setenv("PATH", f"{adb.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("STANDIN_ADB", str(folder))
        monkeypatch.setenv("SLMDEPLOY_HOME_ADB", str(self.home))

    def attach(self, serial: str = SERIAL, **device: object) -> None:
        """Plug in one more, or the same again in another state."""
        known = json.loads(self._devices.read_text()) if self._devices.exists() else {}
        known[serial] = {"state": "device", "features": PROTOCOL, **device}
        self._write(known)

    def unplug(self) -> None:
        """Pull all cables."""
        self._write({})

    def set(self, **settings: object) -> None:
        """What the stand-in does: ``features``, ``server_down``, ``reachable``, ``cut_...``."""
        (self.folder / "settings.json").write_text(json.dumps(settings))

    def device(self, name: str = "phone", host: str | None = SERIAL) -> Device:
        """As the inventory would have it."""
        return Device(name=name, transport="adb", host=host, board="android")

    def calls(self) -> list[list[str | None]]:
        """Serial, verb and words of each call of ``adb``."""
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    @property
    def _devices(self) -> Path:
        return self.folder / "devices.json"

    def _write(self, known: object) -> None:
        new = self._devices.with_suffix(".new")  # it is read all the time
        new.write_text(json.dumps(known))
        new.replace(self._devices)


def make_tools(folder: Path) -> None:
    """A folder of links to the programs that a phone has."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox is installed (apt-get install busybox-static)")
    folder.mkdir()
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    places = dict.fromkeys(names.stdout.split(), busybox)
    if (toybox := shutil.which("toybox")) is not None:
        listed = subprocess.run([toybox], check=True, capture_output=True, text=True)
        own = {*listed.stdout.split()} - {*FROM_BUSYBOX}
        places = dict.fromkeys(FROM_BUSYBOX, busybox) | dict.fromkeys(own, toybox)
    places["sh"] = shutil.which("mksh") or busybox
    for name, program in places.items():
        if "/" not in name and name.isprintable():
            (folder / name).symlink_to(program)
