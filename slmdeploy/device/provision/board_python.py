"""Which Pythons a board has, and what numpy each of them has."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from slmdeploy.device.script import script
from slmdeploy.runtime.elf import Version, parse_version
from slmdeploy.transport.base import Transport

__all__ = ["Interpreter", "parse_interpreters", "read_interpreters"]

_TIMEOUT_S = 120.0
# Newest last: after the board's own python3 the oldest of the others comes first, since
# more packages are made for it.
_LIST = r"""
# $1: what each Python is asked. Says: one line of JSON for each.
seen=
for name in python3 python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14; do
  path=$(command -v "$name") || continue
  real=$(readlink -f "$path" 2>/dev/null || echo "$path")
  case $seen in *"|$real|"*) continue ;; esac
  seen="$seen|$real|"
  "$path" -c "$1" "$path" 2>/dev/null
done
exit 0
"""
# The current folder is taken off the path: a file there may be called numpy.py.
_ASK = r"""
import sys
sys.path.pop(0)
import json, sysconfig
try:
    import numpy
    found = numpy.__version__
except Exception:
    found = None
print(json.dumps({"path": sys.argv[1], "version": ".".join(map(str, sys.version_info[:3])),
                  "abi": sysconfig.get_config_var("SOABI"), "numpy": found}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python of a board.

    Attributes:
        path: Of the program.
        version: As in ``3.11.2``.
        abi: What its extension modules are made for, as in
            ``cpython-311-aarch64-linux-gnu``; ``None`` if it does not tell.
        numpy: Version of the numpy that it can import; ``None`` if it has none.
    """

    path: str
    version: str
    abi: str | None
    numpy: str | None

    @property
    def minor(self) -> str:
        """As wheels have it: ``3.11``."""
        return ".".join(self.version.split(".")[:2])

    def runs(self, arch: str) -> bool:
        """Whether it takes wheels of CPython for glibc and an architecture."""
        return self.abi == f"cpython-{self.minor.replace('.', '')}-{arch}-linux-gnu"

    def numpy_version(self) -> Version | None:
        """Version of its numpy as numbers; what follows them (``rc1``) is left out."""
        found = re.match(r"\d+(\.\d+)*", self.numpy or "")
        return parse_version(found[0]) if found else None


def read_interpreters(transport: Transport) -> tuple[Interpreter, ...]:
    """The Pythons of a board, its own ``python3`` first; empty where it has none.

    Raises:
        ConnectError: The board is away.
        CommandError: It did not answer in time.
    """
    return parse_interpreters(transport.run(script(_LIST, _ASK), timeout=_TIMEOUT_S).stdout)


def parse_interpreters(text: str) -> tuple[Interpreter, ...]:
    """From lines of JSON; what a Python says besides (a warning) is passed over."""
    found = []
    for line in text.splitlines():
        try:
            said = json.loads(line)
            version = str(said["version"])
            path, abi, numpy = str(said["path"]), said["abi"], said["numpy"]
        except (ValueError, TypeError, KeyError):
            continue
        if re.fullmatch(r"\d+(\.\d+)+", version):
            found.append(Interpreter(path, version, _text(abi), _text(numpy)))
    return tuple(found)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
