"""What each runtime asks of a board, with the source of every row.

``needs``: without it the runtime does not start, or dies with an illegal instruction.
``wants``: without it the result is right, and slower than what its figures are usually
held against. ``uses``: a bonus that most boards lack; its lack is said and not held
against them. Instructions were counted in the libraries themselves, with ``objdump -d``,
on the versions named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from slmdeploy.runtime.elf import Version
from slmdeploy.runtime.wheel_pins import pinned_pythons

__all__ = [
    "LOADERS",
    "REQUIREMENTS",
    "Feature",
    "Requirements",
    "Wheel",
]


LOADERS: Final[Mapping[str, str]] = {
    "aarch64": "/lib/ld-linux-aarch64.so.1",
    "x86_64": "/lib64/ld-linux-x86-64.so.2",
}
"""What starts each architecture's 64-bit programs, by the System V ABI's supplements.

A 32-bit system, or one with musl, does not have it, whatever its kernel says.
"""


@dataclass(frozen=True)
class Feature:
    """Something that a processor can do.

    Attributes:
        name: In the kernel's words, as in ``/proc/cpuinfo``.
        kind: Whether the runtime needs it, wants it, or uses it where it is there.
        why: What it is used for; the end of "without it, ...".
        schemes: Of the recipes that it matters to (``compress/recipe.py``); empty for all.
    """

    name: str
    kind: Literal["needs", "wants", "uses"]
    why: str
    schemes: tuple[str, ...] = ()

    def matters_to(self, schemes: frozenset[str] | None) -> bool:
        """Whether it matters to a recipe's schemes; ``None`` for a recipe that is not known."""
        return not self.schemes or schemes is None or bool(schemes & set(self.schemes))


@dataclass(frozen=True)
class Wheel:
    """The Python package that holds a runtime, for boards.

    Attributes:
        name: Of the package.
        version: The one that is pinned.
        numpy: Least version of numpy, and the first that no longer goes with it.
    """

    name: str
    version: str
    numpy: tuple[Version, Version | None]

    def pythons(self, machine: str) -> tuple[str, ...]:
        """Versions of CPython that it is pinned for, as ``3.11``, oldest first."""
        return pinned_pythons(self.name, self.version, machine)


@dataclass(frozen=True)
class Requirements:
    """What a runtime asks of a board.

    Attributes:
        machines: Architectures that there is a runtime for, as ``uname -m`` says.
        features: Of the processor, by architecture.
        symbols: Newest version that its libraries need of ``GLIBC``, ``GLIBCXX`` and
            ``CXXABI``; used where the files are not on this computer to be read.
        align: Alignment of the segments of its libraries, in bytes.
        wheel: For a runtime that runs in the board's own Python.
        least_l4t: Oldest release of Jetson Linux that it is tested on: 35 is JetPack 5,
            36 is JetPack 6.
        instead: What to use where this runtime does not run.
    """

    runtime: str
    machines: tuple[str, ...]
    features: Mapping[str, tuple[Feature, ...]]
    symbols: Mapping[str, Version]
    align: int
    wheel: Wheel | None = None
    least_l4t: int = 35
    instead: str | None = None


# XNNPACK chooses its kernels when it starts, by what the processor can do; all three
# runtimes carry it, and none of their libraries has LSE atomics outside the helpers that
# GCC's -moutline-atomics calls after asking the processor (executorch 1.5.1: 2 to 6 such
# instructions a library; ai-edge-litert 2.3.0: 12; tflite-runtime 2.14.0: none). So a
# Cortex-A72 (Raspberry Pi 4) needs no LSE here; google-ai-edge/LiteRT-LM#1847 is about
# another program. Both were run with QEMU's cortex-a72.
_ASIMD = Feature("asimd", "needs", "no kernel runs: all are made for Armv8-A with NEON")
# Only where activations are quantized too do both factors have 8 bits.
_EIGHT = ("8da4w", "8da8w")
_DOT = Feature(
    "asimddp", "wants", "8-bit kernels do without dot products (sdot) and are slower", _EIGHT
)
_I8MM = Feature("i8mm", "uses", "the 8-bit matrix kernels (smmla) stay unused", _EIGHT)
_HALF = Feature("asimdhp", "uses", "float16 is widened and computed as float32")
_ARM: Final = (_ASIMD, _DOT, _I8MM, _HALF)

# The x86-64 psABI's first level is all that XNNPACK takes for granted; its fast kernels
# ask for AVX2 and FMA, or AVX-512 with VNNI.
_X86: Final = (
    Feature("sse2", "needs", "no kernel runs"),
    Feature("avx2", "wants", "the matrix kernels use vectors of 128 bits"),
    Feature("fma", "wants", "the matrix kernels multiply and add apart"),
)

REQUIREMENTS: Final[Mapping[str, Requirements]] = {
    # executorch 1.5.1, wheel manylinux_2_28_aarch64: .gnu.version_r and p_align of its
    # five libraries. The runner itself is linked for glibc 2.27 where the board asks.
    "executorch": Requirements(
        "executorch",
        machines=("aarch64", "x86_64"),
        features={"aarch64": _ARM, "x86_64": _X86},
        symbols={"GLIBC": (2, 27), "GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 11)},
        align=65536,
    ),
    # ai_edge_litert 2.3.0, cp311 manylinux_2_27_aarch64 (the tag says 2.27, its
    # libLiteRt.so needs 2.34); wheels for aarch64 as the package index lists them.
    "litert": Requirements(
        "litert",
        machines=("aarch64", "x86_64"),
        features={"aarch64": _ARM, "x86_64": _X86},
        symbols={"GLIBC": (2, 34), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13)},
        align=65536,
        wheel=Wheel("ai-edge-litert", "2.3.0", ((1, 23, 2), None)),
        least_l4t=36,
        instead="tflite-runtime",
    ),
    # tflite_runtime 2.14.0, cp38 to cp311 manylinux_2_34_aarch64 (the tag says 2.34, the
    # library needs 2.27 and no libstdc++). Built against numpy 1: 2 refuses to load it.
    "tflite-runtime": Requirements(
        "tflite-runtime",
        machines=("aarch64", "x86_64"),
        features={"aarch64": (_ASIMD, _DOT), "x86_64": _X86},
        symbols={"GLIBC": (2, 27)},
        align=65536,
        wheel=Wheel("tflite-runtime", "2.14.0", ((1, 23, 2), (2,))),
        instead="executorch",
    ),
}
