"""Which settings of a board shall be changed, and what must be written for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from slmdeploy.errors import DeviceError

__all__ = [
    "USUAL",
    "Change",
    "Saved",
    "Survey",
    "Use",
    "Wanted",
    "parse_saved",
    "parse_survey",
    "plan_changes",
    "setting_name",
    "setting_text",
]

Kind = Literal["governor", "mode", "clocks"]


@dataclass(frozen=True)
class Wanted:
    """Settings that were asked for; ``None`` leaves one as it is.

    Attributes:
        governor: Of each cpufreq policy, as in ``performance``.
        power_mode: Name or id of a mode of nvpmodel (Jetson), as in ``25W``.
        clocks: ``max``: jetson_clocks locks all clocks at their highest (Jetson).
    """

    governor: str | None = None
    power_mode: str | None = None
    clocks: Literal["max"] | None = None

    def __bool__(self) -> bool:
        return (self.governor, self.power_mode, self.clocks) != (None, None, None)


@dataclass(frozen=True)
class Use:
    """How a board shall be used.

    Attributes:
        steal: Take it from whoever holds it.
        settings: What shall be changed on it meanwhile.
    """

    steal: bool = False
    settings: Wanted = field(default_factory=Wanted)


USUAL = Use()
"""Ask nicely, and change nothing."""


@dataclass(frozen=True)
class Change:
    """One setting, before and after.

    Attributes:
        kind: What it is.
        key: The kernel's file of a governor; the file of stored clocks; else ``-``.
        old: What it is now; of a mode its id.
        new: What it shall be; of a mode its id.
        text: For people.
    """

    kind: Kind
    key: str
    old: str
    new: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Saved:
    """Settings that were changed and not put back.

    Attributes:
        token: Which run changed them.
        owner: Who did.
        rows: (kind, key, value before) of each.
    """

    token: str
    owner: str
    rows: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        return f"changed by {self.owner}: " + ", ".join(setting_text(row) for row in self.rows)


@dataclass(frozen=True)
class Survey:
    """What a board has to be set.

    Attributes:
        user: Who we are there.
        governors: (file, governor now, governors it knows) of each policy.
        mode: Id of the power mode; ``None`` without nvpmodel.
        modes: Name of each mode by its id.
        clocks: Whether there is a jetson_clocks.
        saved: What is changed already.
    """

    user: str
    governors: tuple[tuple[str, str, tuple[str, ...]], ...]
    mode: str | None
    modes: Mapping[str, str]
    clocks: bool
    saved: Saved | None


def parse_survey(text: str) -> Survey:
    """Read what the script SURVEY says."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    rows = [row.split("\t") for row in found.get("governor", []) if row.count("\t") == 2]
    modes = (row.partition(" ") for row in found.get("modes", []))
    return Survey(
        user=next(iter(found.get("user", [])), ""),
        governors=tuple((file, now, tuple(known.split())) for file, now, known in rows),
        mode=next(iter(found.get("mode", [])), None) or None,
        modes={number: name for number, _, name in modes},
        clocks="clocks" in found,
        saved=parse_saved(found.get("saved", [])),
    )


def setting_name(kind: str, key: str) -> str:
    """What a setting is called, as ``governor of policy0``."""
    if kind == "governor" and key.count("/") > 1:
        return f"governor of {key.split('/')[-2]}"
    return {"mode": "power mode"}.get(kind, kind)


def setting_text(row: tuple[str, str, str]) -> str:
    """What a setting was before it was changed, as ``governor of policy0 (was ondemand)``."""
    kind, key, value = row
    return f"{setting_name(kind, key)} (was {value})" if kind != "clocks" else "clocks"


def plan_changes(name: str, survey: Survey, wanted: Wanted, clocks_file: str) -> tuple[Change, ...]:
    """What must be changed, in the order in which it is; nothing that is so already.

    Args:
        name: Of the device, for messages.
        survey: What it has.
        wanted: What was asked for.
        clocks_file: Where jetson_clocks shall store what it changes.

    Raises:
        DeviceError: The board has no such setting, or does not know the value.
    """
    changes = [*_mode(name, survey, wanted.power_mode)]
    if wanted.clocks is not None:
        if not survey.clocks:
            raise DeviceError(f"{name} has no jetson_clocks: --set-clocks is for Jetson boards.")
        text = "clocks: as they are -> all at their highest (jetson_clocks)"
        changes.append(Change("clocks", clocks_file, "stored", wanted.clocks, text))
    return (*changes, *_governors(name, survey, wanted.governor))


def _mode(name: str, survey: Survey, wanted: str | None) -> Iterator[Change]:
    if wanted is None:
        return
    if survey.mode is None:
        raise DeviceError(f"{name} has no power modes (nvpmodel): it is not a Jetson board.")
    ids = {mode.lower(): number for number, mode in survey.modes.items()}
    number = wanted if wanted in survey.modes else ids.get(wanted.lower())
    if number is None:
        known = ", ".join(f"{mode} ({number})" for number, mode in survey.modes.items())
        raise DeviceError(f"{name} has no power mode {wanted!r}.", hint=f"It has: {known}.")
    if number != survey.mode:
        old, new = survey.modes.get(survey.mode, survey.mode), survey.modes[number]
        yield Change("mode", "-", survey.mode, number, f"power mode: {old} -> {new}")


def _governors(name: str, survey: Survey, wanted: str | None) -> Iterator[Change]:
    if wanted is None:
        return
    if not survey.governors:
        raise DeviceError(f"{name} has no cpufreq governors that could be set.")
    for file, now, known in survey.governors:
        if known and wanted not in known:
            raise DeviceError(
                f"{name} has no governor {wanted!r}.", hint=f"It has: {', '.join(known)}."
            )
        if now != wanted:
            text = f"{setting_name('governor', file)}: {now} -> {wanted}"
            yield Change("governor", file, now, wanted, text)


def parse_saved(lines: Iterable[str]) -> Saved | None:
    """Read the lines of ``settings/saved``; ``None`` where there are none."""
    head, *rows = list(lines) or [""]
    token, _, owner = head.partition(" ")
    fields = (row.split("\t") for row in rows)
    whole = tuple((row[0], row[1], row[2]) for row in fields if len(row) == 3)
    return Saved(token, owner, whole) if token else None
