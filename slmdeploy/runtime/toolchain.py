"""Finds what compiles and links the native part, for this computer or another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from slmdeploy.errors import CompilerError, MissingExtraError
from slmdeploy.places import cache_dir
from slmdeploy.runtime.wheel import host_arch

__all__ = ["GlibcVersion", "Toolchain", "find_toolchain", "glibc_needed", "parse_glibc"]

GlibcVersion = tuple[int, int]

_TRIPLES: Final = {"aarch64": "aarch64-linux-gnu", "x86_64": "x86_64-linux-gnu"}
_PACKAGES: Final = {"aarch64": "g++-aarch64-linux-gnu", "x86_64": "g++-x86-64-linux-gnu"}
_LEAST_MAJOR = 9
_SYMBOL_VERSION = re.compile(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)")


@dataclass(frozen=True)
class Toolchain:
    """A C++17 compiler, and the means to link against an old glibc.

    Attributes:
        compiler: Path of g++, or of the cross compiler.
        version: First line of its ``--version``.
        arch: What it makes code for.
    """

    compiler: str
    version: str
    arch: str

    def zig_link(self, glibc: GlibcVersion) -> tuple[list[str], list[str], dict[str, str]]:
        """Zig's linker, which knows the symbols of every glibc.

        The C++ library is the compiler's own: code that zig's libc++ compiled does not
        go with the wheel's libraries, since their ``std::variant`` differs.

        Args:
            glibc: Oldest glibc that the result must start on.

        Returns:
            The command up to its inputs, what comes after them, and its environment.

        Raises:
            MissingExtraError: ``ziglang`` is not installed.
        """
        if find_spec("ziglang") is None:
            raise MissingExtraError("cross", f"A runner for glibc {glibc[0]}.{glibc[1]}")
        target = f"{self.arch}-linux-gnu.{glibc[0]}.{glibc[1]}"
        front = [sys.executable, "-m", "ziglang", "cc", "-target", target]
        back = [self._library("libstdc++.so.6"), self._library("libgcc_s.so.1")]
        place = str(cache_dir() / "zig")
        return front, back, {**os.environ, "ZIG_GLOBAL_CACHE_DIR": place}

    def _library(self, name: str) -> str:
        """Path of a library of the compiler; the bare name if it has none."""
        done = _output([self.compiler, f"-print-file-name={name}"])
        return str(Path(done.strip()).resolve()) if done.strip() != name else f"-l:{name}"


def find_toolchain(arch: str) -> Toolchain:
    """The compiler for an architecture.

    Raises:
        CompilerError: There is none, or it is too old for C++17.
    """
    native = arch == host_arch()
    name = "g++" if native else f"{_TRIPLES[arch]}-g++"
    package = "g++" if native else _PACKAGES[arch]
    path = shutil.which(name)
    if path is None:
        raise CompilerError(
            f"There is no C++ compiler for {arch}: {name} was not found.",
            hint=f"Run: sudo apt install {package}",
        )
    version, major = _version(path)
    if major < _LEAST_MAJOR:
        raise CompilerError(
            f"{name} is version {major}, but {_LEAST_MAJOR} or later is needed for C++17.",
            hint=f"Run: sudo apt install {package}",
        )
    return Toolchain(path, version, arch)


def parse_glibc(text: str) -> GlibcVersion:
    """``"2.31"`` as numbers.

    Raises:
        CompilerError: It is not a version of glibc.
    """
    match = re.fullmatch(r"2\.(\d{1,3})", text)
    if match is None:
        raise CompilerError(f"{text!r} is not a version of glibc.", hint="Write it as 2.31.")
    return 2, int(match[1])


def glibc_needed(binary: Path) -> GlibcVersion:
    """The newest version of glibc's symbols that a program or library asks for.

    The names of the versions stand, each after a zero byte, among the file's strings
    (``.dynstr``), whatever its architecture. (2, 0) if it asks for none.
    """
    found = _SYMBOL_VERSION.findall(binary.read_bytes())
    return max(((int(major), int(minor)) for major, minor in found), default=(2, 0))


@cache
def _version(path: str) -> tuple[str, int]:
    first = _output([path, "--version"]).splitlines()[:1]
    number = _output([path, "-dumpversion"]).strip().partition(".")[0]
    if not first or not number.isdigit():
        raise CompilerError(f"{path} does not tell its version.", hint=f"Run: {path} --version")
    return first[0], int(number)


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompilerError(f"{argv[0]} cannot be run: {error}.") from error
    return done.stdout
