"""Whether a board can run a runtime, and with which wheels; decided by what the board says.

Pure: facts in, choice or refusal out, so that nothing is downloaded in vain. Where a fact
could not be read nothing is refused for it: the smoke test after the push decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slmdeploy.device.facts import Reading
from slmdeploy.device.provision.board_python import Interpreter
from slmdeploy.errors import DeviceError, UnknownNameError
from slmdeploy.runtime.elf import Version
from slmdeploy.runtime.requirements import LOADERS, REQUIREMENTS, Requirements
from slmdeploy.runtime.wheel_packages import PYTHON_RUNTIMES, numpy_wheel, runtime_wheel
from slmdeploy.runtime.wheel_pins import PinnedWheel, pinned_pythons

__all__ = ["BoardAbility", "PythonChoice", "choose_python", "refuse", "why_not"]

_ORDER = ("litert", "tflite-runtime", "executorch")
"""What is proposed instead, first what fits."""


@dataclass(frozen=True)
class BoardAbility:
    """What decides which runtimes a board can run.

    Attributes:
        machine: As ``uname -m`` says.
        loaders: Dynamic loaders that are installed; empty where they were not looked for.
        symbols: Newest version that the board has of ``GLIBC``, ``GLIBCXX`` and ``CXXABI``;
            one that could not be read is absent.
        features: Of the processor, in the kernel's words.
        pythons: Its Pythons, its own ``python3`` first.
    """

    machine: Reading[str]
    loaders: tuple[str, ...]
    symbols: dict[str, Version]
    features: Reading[tuple[str, ...]]
    pythons: tuple[Interpreter, ...]

    @property
    def arch(self) -> str:
        """The machine, by our names."""
        name = (self.machine.value or "").lower()
        return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


@dataclass(frozen=True)
class PythonChoice:
    """What a runtime needs to run in a board's own Python.

    Attributes:
        wheel: The runtime.
        python: The interpreter.
        numpy: What is brought; ``None`` where the board's own fits.
    """

    wheel: PinnedWheel
    python: Interpreter
    numpy: PinnedWheel | None


def choose_python(runtime: str, board: BoardAbility, device: str) -> PythonChoice:
    """The wheels for a board, for the first of its Pythons that has one.

    Raises:
        DeviceError: The board cannot run the runtime.
    """
    refuse(runtime, board, device)
    python = next(p for p in board.pythons if _has_wheel(runtime, p, board.arch))
    wheel = runtime_wheel(runtime, python.minor, board.arch)
    brought = None
    if not _fits(REQUIREMENTS[runtime], python):
        brought = numpy_wheel(runtime, python.minor, board.arch)
    return PythonChoice(wheel, python, brought)


def refuse(runtime: str, board: BoardAbility, device: str) -> None:
    """Refuse a runtime that a board cannot run, and name one that it can.

    Raises:
        DeviceError: It cannot.
    """
    reason = why_not(runtime, board)
    if reason is None:
        return
    others = (other for other in _ORDER if other != runtime)
    fitting = next((other for other in others if why_not(other, board) is None), None)
    hint = "There is no runtime for this board."
    if fitting is not None:
        hint = f"Run: slmdeploy devices provision {device} --runtime {fitting}"
    raise DeviceError(f"{device} cannot run {runtime}: {reason}.", hint=hint)


def why_not(runtime: str, board: BoardAbility) -> str | None:
    """Why a board cannot run a runtime; ``None`` if nothing speaks against it.

    Args:
        runtime: One of ``REQUIREMENTS``.
        board: What is known of it.
    """
    needs = REQUIREMENTS[runtime]
    return next(iter((*_machine(needs, board), *_python(needs, board), *_rest(needs, board))), None)


def _machine(needs: Requirements, board: BoardAbility) -> Iterator[str]:
    if board.machine.value is not None and board.arch not in needs.machines:
        yield f"it is {board.machine.value}, and there is one for {_or(needs.machines)} alone"
    loader = LOADERS.get(board.arch)
    if loader and board.loaders and loader not in board.loaders:
        yield (
            f"its system has no {loader} (found: {', '.join(board.loaders)}), so it is one of 32 "
            "bits or without glibc"
        )


def _python(needs: Requirements, board: BoardAbility) -> Iterator[str]:
    if needs.wheel is None or any(_has_wheel(needs.runtime, p, board.arch) for p in board.pythons):
        return
    if not board.pythons:
        yield "it has no Python"
        return
    about = PYTHON_RUNTIMES[needs.runtime]
    made_for = pinned_pythons(about.project, about.version, board.arch)
    has = ", ".join(f"{p.path} {p.version} ({p.abi})" for p in board.pythons)
    yield f"{about.project} {about.version} is made for CPython {_or(made_for)}, and it has {has}"


def _rest(needs: Requirements, board: BoardAbility) -> Iterator[str]:
    for family, least in needs.symbols.items():
        has = board.symbols.get(family)
        if has is not None and has < least:
            name = "glibc" if family == "GLIBC" else family
            yield f"it has {name} {_dots(has)}, and {_dots(least)} is needed"
    if board.features.value is not None:
        for feature in needs.features.get(board.arch, ()):
            if feature.kind == "needs" and feature.name not in board.features.value:
                yield f"its processor lacks {feature.name}: {feature.why}"


def _has_wheel(runtime: str, python: Interpreter, arch: str) -> bool:
    try:
        runtime_wheel(runtime, python.minor, arch)
    except UnknownNameError:
        return False
    return python.runs(arch)


def _fits(needs: Requirements, python: Interpreter) -> bool:
    """Whether the board's own numpy goes with the runtime."""
    has = python.numpy_version()
    if needs.wheel is None or has is None:
        return False
    least, below = needs.wheel.numpy
    return has >= least and (below is None or has < below)


def _or(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _dots(version: Version) -> str:
    return ".".join(map(str, version))
