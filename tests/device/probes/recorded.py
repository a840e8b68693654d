"""Readings that were recorded on the emulated boards, and raw texts made by hand."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from slmdeploy.device.probes.reading import parse_reading, values_of
from slmdeploy.device.probes.types import Measured, Probe, Raw, Text

FOLDER = Path(__file__).parents[3] / "fixtures" / "probes"
BOARDS = ("rpi4", "rpi5", "orin-nano", "agx-orin")


def reading(board: str, state: str = "idle") -> list[Raw]:
    """The rounds of a recorded reading."""
    return parse_reading((FOLDER / board / f"{state}.txt").read_text(encoding="utf-8"))


def values(probe: Probe, board: str, state: str = "idle") -> dict[str, float | str | None]:
    """What a probe makes of it: values by name."""
    return {one.name: one.value for one in values_of(probe, reading(board, state))}


def reasons(probe: Probe, board: str, state: str = "idle") -> dict[str, str]:
    """Why values are missing, by name."""
    found = values_of(probe, reading(board, state))
    return {one.name: one.reason or "" for one in found if one.value is None}


def raw(**texts: str) -> Raw:
    return {key: Text(text) for key, text in texts.items()}


def texts(probe: Probe, keys: tuple[str, ...] = ()) -> st.SearchStrategy[Raw]:
    """Any junk in the place of what a probe reads."""
    known = [source.key.replace("*", "0").replace("[0-9]", "1").replace("[1-3]", "1")
             for source in probe.sources]  # fmt: skip
    patterns = [source.key for source in probe.sources]
    lines = st.one_of(
        st.text(max_size=40),
        st.from_regex(r"-?[0-9]{1,25}(\.[0-9]+)?", fullmatch=True),
        st.sampled_from(["nan", "inf", "-256000", "0x", "throttled=0x", "temp=-256C", "off", "NC"]),
    )
    text = st.one_of(lines.map(Text), st.just(Text(None, "Input/output error")))
    return st.dictionaries(st.sampled_from([*known, *patterns, *keys]), text)


def is_whole(one: Measured) -> bool:
    """A value of its kind, or none with a reason."""
    if one.value is None:
        return bool(one.reason)
    return isinstance(one.value, str if one.unit == "" else float) and one.value == one.value
