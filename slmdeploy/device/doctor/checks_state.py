"""Judge how a board is just now: clocks, heat, supply, other work; pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from slmdeploy.device.doctor.busy import Process
from slmdeploy.device.doctor.checks import on_board, unknown
from slmdeploy.device.doctor.gather import BoardFacts
from slmdeploy.device.doctor.host_checks import Check, Status
from slmdeploy.device.doctor.places import Home
from slmdeploy.device.facts import Reading
from slmdeploy.device.probes.types import Measured
from slmdeploy.device.runs.lease import Holder
from slmdeploy.device.types import Device

__all__ = [
    "BUSY_SHARE",
    "CAP_SHARE",
    "HEAT_MARGIN_C",
    "judge_busy",
    "judge_caps",
    "judge_governor",
    "judge_lease",
    "judge_power_mode",
    "judge_settings",
    "judge_supply",
    "judge_temperature",
    "judge_throttled",
    "state_checks",
]

BUSY_SHARE: Final = 0.10
"""Of one core; a process that takes more is named."""
CAP_SHARE: Final = 0.99
"""A cap below this share of the hardware's clock is one; some drivers round."""
HEAT_MARGIN_C: Final = 20.0
"""So much a board may warm up in a run of minutes; nearer to the limit is warned about."""

# Where the speed is held down, for boards whose kernel does not say. Raspberry Pi's
# documentation ("Frequency management and thermal control"): from 80 C on the cores are
# throttled. Jetson Orin: 99 C, from memory of NVIDIA's developer guide.
_LIMITS_C = {"jetson-agx-orin": 99.0, "jetson-orin-nano": 99.0, "jetson-orin-nx": 99.0}
_USUAL_LIMIT_C = 80.0
_SUPPLIES = {"rpi5": "its 27 W supply (5 V, 5 A)", "rpi4": "its 15 W supply (5 V, 3 A)"}
_VOLTAGE = "under-voltage"


def state_checks(
    device: Device, facts: BoardFacts, bundle: str | None, holder: Holder | None
) -> Iterator[Check]:
    """All checks of this module, in the order of the report.

    Args:
        device: As the inventory knows it.
        facts: What was found.
        bundle: Folder of the bundle, for commands that name it.
        holder: Who measures there now.
    """
    kind = facts.kind.value or device.board or ""
    sensors = facts.sensors
    yield judge_governor(device, _of(sensors, "governor"), bundle)
    yield judge_caps(device, _of(sensors, "clock_cap_mhz"), _of(sensors, "clock_limit_mhz"))
    limit = facts.slow_down_c.value or _LIMITS_C.get(kind, _USUAL_LIMIT_C)
    yield judge_temperature(_of(sensors, "temperature_c"), limit)
    yield judge_throttled(
        device,
        _of(sensors, "throttle_now"),
        (*_of(sensors, "throttle_since_boot"), *_of(sensors, "throttle_events")),
    )
    yield judge_supply(
        (*_of(sensors, "throttle_now"), *_of(sensors, "current_alarm")),
        (*_of(sensors, "throttle_since_boot"), *_of(sensors, "throttle_events")),
        kind,
    )
    if kind.startswith("jetson") or facts.l4t.value is not None:
        yield judge_power_mode(_of(sensors, "power_mode"))
    yield judge_busy(device, facts.busy)
    yield judge_lease(device, holder, bundle)
    yield judge_settings(device, facts.home, holder)


def judge_governor(device: Device, governors: tuple[Measured, ...], bundle: str | None) -> Check:
    """Who chooses the clocks: under any governor but ``performance`` they vary in a run."""
    known = sorted({str(one.value) for one in governors if one.value is not None})
    if not known:
        return unknown("governor", _reason(governors))
    if known == ["performance"]:
        return Check("governor", "ok", "performance")
    fix = f"slmdeploy bench {bundle or 'BUNDLE'} --device {device.name} --set-governor performance"
    slow = "powersave" in known
    meaning = "the clocks stay at their lowest" if slow else "the clocks vary during a run"
    return Check("governor", "warn", f"{', '.join(known)}: {meaning}", fix)


def judge_caps(device: Device, caps: tuple[Measured, ...], limits: tuple[Measured, ...]) -> Check:
    """The highest clock that is allowed, against what the hardware has."""
    highest = {one.of: one for one in limits if isinstance(one.value, float)}
    both = [
        (one, highest[one.of]) for one in caps if isinstance(one.value, float) and one.of in highest
    ]
    if not both:
        return unknown("clock limit", _reason((*caps, *limits)))
    capped = [(cap, top) for cap, top in both if _number(cap) < CAP_SHARE * _number(top)]
    shown = capped or both
    value = ", ".join(
        dict.fromkeys(f"{_number(cap):.0f} of {_number(top):.0f} MHz" for cap, top in shown)
    )
    if not capped:
        return Check("clock limit", "ok", value)
    cap, top = capped[0]
    khz = round(_number(top) * 1000)
    return Check(
        "clock limit", "warn", value, on_board(device, f"echo {khz} | sudo tee {cap.sensor}")
    )


def judge_temperature(zones: tuple[Measured, ...], limit: float) -> Check:
    """The hottest zone, against where the board slows down, in degrees Celsius."""
    known = [one for one in zones if isinstance(one.value, float)]
    if not known:
        return unknown("temperature", _reason(zones))
    hottest = max(known, key=_number)
    degrees = _number(hottest)
    value = f"{degrees:.0f} C ({hottest.of}), slows down at {limit:.0f} C"
    status: Status = "ok"
    if degrees > limit - HEAT_MARGIN_C:
        status = "fail" if degrees >= limit else "warn"
    return Check("temperature", status, value, None if status == "ok" else "Cool it, or wait.")


def judge_throttled(
    device: Device, now: tuple[Measured, ...], since: tuple[Measured, ...]
) -> Check:
    """Whether firmware or kernel hold the speed down, and whether they did since the start."""
    if not any(one.value is not None for one in (*now, *since)):
        return unknown("throttling", _reason((*now, *since)))
    held, was = _set(now, voltage=False), _set(since, voltage=False)
    if held:
        return Check("throttling", "fail", f"now: {', '.join(held)}", "Cool it, or wait.")
    if was:
        value = f"not now; since the start: {', '.join(was)} (a restart forgets it)"
        return Check("throttling", "warn", value, on_board(device, "sudo reboot"))
    return Check("throttling", "ok", _when("not now", "not since the start", since))


def judge_supply(now: tuple[Measured, ...], since: tuple[Measured, ...], kind: str) -> Check:
    """Whether the supply gives enough, now and since the start."""
    if not any(one.value is not None for one in (*now, *since)):
        return unknown("power supply", _reason((*now, *since)))
    low = [
        *_set(now, voltage=True),
        *(one.of for one in now if one.quantity == "current_alarm" and one.value),
    ]
    was = _set(since, voltage=True)
    fix = f"Use {_SUPPLIES.get(kind, 'a supply that is made for the board')} and a short cable."
    if low:
        return Check("power supply", "fail", f"now: {', '.join(low)}", fix)
    if was:
        return Check("power supply", "warn", f"not now; since the start: {', '.join(was)}", fix)
    return Check("power supply", "ok", _when("enough now", "and since the start", since))


def judge_power_mode(modes: tuple[Measured, ...]) -> Check:
    """A Jetson's power mode: figures belong to it, so it is said, and not judged."""
    known = next((str(one.value) for one in modes if one.value is not None), None)
    if known is None:
        return unknown("power mode", _reason(modes))
    note = "" if known.startswith("MAXN") else ": figures are those of this mode, not of MAXN"
    return Check("power mode", "ok", f"{known}{note}")


def judge_busy(device: Device, busy: Reading[tuple[Process, ...]]) -> Check:
    """What else runs on the board and takes time away from a run."""
    if busy.value is None:
        return unknown("other processes", busy.reason)
    loud = [process for process in busy.value if process.share >= BUSY_SHARE]
    if not loud:
        return Check("other processes", "ok", f"none above {BUSY_SHARE:.0%} of a core")
    value = ", ".join(f"{p.name} ({p.pid}) {p.share:.0%} of a core" for p in loud[:3])
    rest = f", and {len(loud) - 3} more" if len(loud) > 3 else ""
    fix = on_board(device, "top -b -n 1 | head -n 15")
    return Check("other processes", "warn", value + rest, fix)


def judge_lease(device: Device, holder: Holder | None, bundle: str | None) -> Check:
    """Whether somebody measures there now: ``bench`` would be refused."""
    if holder is None:
        return Check("lease", "ok", "free")
    steal = f"slmdeploy bench {bundle or 'BUNDLE'} --device {device.name} --steal"
    return Check("lease", "warn", f"held by {holder}", steal)


def judge_settings(device: Device, home: Reading[Home], holder: Holder | None) -> Check:
    """Whether a measurement left settings changed; while it goes on they may well be."""
    if home.value is None:
        return unknown("settings", home.reason)
    changed = home.value.changed
    if changed is None:
        return Check("settings", "ok", "none is left changed")
    if holder is not None:
        return Check("settings", "ok", f"for now {changed}")
    return Check("settings", "warn", f"left {changed}", f"slmdeploy devices restore {device.name}")


def _of(sensors: Iterable[Measured], quantity: str) -> tuple[Measured, ...]:
    return tuple(one for one in sensors if one.quantity == quantity)


def _reason(values: tuple[Measured, ...]) -> str:
    reasons = (one.reason for one in values if one.reason)
    return next(reasons, "no sensor tells it")


def _when(now: str, before: str, since: tuple[Measured, ...]) -> str:
    """The past is only spoken of where a sensor remembers it."""
    return f"{now}, {before}" if any(one.value is not None for one in since) else now


def _number(one: Measured) -> float:
    return one.value if isinstance(one.value, float) else 0.0


def _set(flags: tuple[Measured, ...], *, voltage: bool) -> list[str]:
    """Names of the flags and counters that are not 0: those of the supply, or the others."""
    return [
        one.of
        for one in flags
        if one.value and one.quantity != "current_alarm" and (_VOLTAGE in one.of) == voltage
    ]
