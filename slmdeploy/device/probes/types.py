"""What a probe is: what it reads on the board, and a pure function that makes values of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slmdeploy.device.probes.definitions import DEFINITIONS, Definition

__all__ = ["AGENT", "PID", "Measured", "Probe", "Raw", "Source", "Text"]

PID = "{pid}"
"""In a path: the watched process."""

AGENT = "{agent}"
"""In a path: who reads."""


@dataclass(frozen=True)
class Text:
    """What a file or a command gave, or ``None`` and the reason why nothing."""

    text: str | None
    reason: str | None = None


Raw = Mapping[str, Text]
"""Texts by key: the path of a file, the words of a command, or a joined source's pattern."""


@dataclass(frozen=True)
class Source:
    """Something that is read on the board.

    Attributes:
        what: Files by a shell pattern, or a command as a tuple of words. Words hold no
            blanks.
        every_s: Seconds between two readings while a run is watched; ``None`` for one
            at its start and one at its end.
        joined: Look for the files anew each time, and keep them as one text.
        until: While a run is watched, keep what comes before this text; empty for all.
    """

    what: str | tuple[str, ...]
    every_s: float | None = None
    joined: bool = False
    until: str = ""

    @property
    def key(self) -> str:
        """The pattern, or the command's words."""
        return self.what if isinstance(self.what, str) else " ".join(self.what)


@dataclass(frozen=True)
class Measured:
    """One value of one sensor.

    Attributes:
        quantity: Id of its definition, which has the unit.
        of: What it was measured of (``cpu-thermal``, ``VDD_IN``); empty for the board.
        value: A number in the unit, or a word; ``None`` if it could not be had.
        sensor: The file or the command that it came from.
        reason: Why there is no value.
    """

    quantity: str
    of: str
    value: float | str | None
    sensor: str
    reason: str | None = None

    @property
    def name(self) -> str:
        """The quantity, and of what."""
        return f"{self.quantity}/{self.of}" if self.of else self.quantity

    @property
    def definition(self) -> Definition:
        """What the number means."""
        return DEFINITIONS[self.quantity]

    @property
    def unit(self) -> str:
        """Of the number; empty for words."""
        return self.definition.unit


@dataclass(frozen=True)
class Probe:
    """One kind of sensor.

    Attributes:
        name: As ``devices probe`` prints it.
        sources: What is read.
        parse: From what was read once; never raises, whatever the texts hold.
        between: From two readings, where one alone says nothing.
        clock: Key of the source whose readings make a value; ``None`` for any.
    """

    name: str
    sources: tuple[Source, ...]
    parse: Callable[[Raw], tuple[Measured, ...]] | None = None
    between: Callable[[Raw, Raw], tuple[Measured, ...]] | None = None
    clock: str | None = None

    @property
    def of_process(self) -> bool:
        """Whether it says nothing without a watched process."""
        return all(PID in source.key for source in self.sources)
