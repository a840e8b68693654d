"""``slmdeploy devices probe``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slmdeploy.cli.console import Console, plain, table_text
from slmdeploy.cli.devices.names import name_argument
from slmdeploy.cli.options import common

if TYPE_CHECKING:
    from slmdeploy.device.probes.series import Series
    from slmdeploy.device.probes.types import Measured
    from slmdeploy.device.types import Device

__all__ = ["command"]


@click.command("probe")
@name_argument
@click.option(
    "--probe", "names", metavar="P", multiple=True, help="Only this one, as in power; repeatable."
)
@click.option(
    "--seconds",
    metavar="S",
    type=click.FloatRange(min=0.5, max=3600),
    help="Read twice a second for so long.",
)
@common
def command(console: Console, name: str, names: tuple[str, ...], seconds: float | None) -> None:
    """Print what the sensors of the device NAME say.

    Temperatures, throttling, clocks, power, fans, memory, load. What could not be had has its
    reason; an estimate is marked with *.
    """
    from slmdeploy.device.lab.inventory import load_inventory

    device = load_inventory().get(name)
    if seconds is None:
        _now(console, device, names or None)
    else:
        _over(console, device, names or None, seconds)


def _now(console: Console, device: Device, names: tuple[str, ...] | None) -> None:
    from slmdeploy.device.probes.probing import probe_now

    values = probe_now(device, names)
    console.show(
        "slmdeploy/devices-probe/1",
        {"device": device.name, "values": [_document(value) for value in values]},
        lambda: table_text(
            ["quantity", "of", "value", "unit", "sensor"], [_row(value) for value in values]
        ),
    )


def _over(console: Console, device: Device, names: tuple[str, ...] | None, seconds: float) -> None:
    from slmdeploy.device.probes.probing import probe_over

    found = probe_over(device, seconds, names)
    share = None if found.cost is None else found.cost.share
    console.show(
        "slmdeploy/devices-probe-series/1",
        {"device": device.name, "agent_cpu_share": share, "series": plain(found.series)},
        lambda: table_text(
            ["quantity", "of", "first", "least", "most", "last", "unit", "readings"],
            [_series_row(one) for one in found.series],
        ),
    )
    if share is not None:
        console.note(f"The agent took {share:.1%} of one core.")


def _document(value: Measured) -> dict[str, Any]:
    definition = value.definition
    return {**plain(value), "unit": value.unit, "estimate": definition.estimate}


def _row(value: Measured) -> tuple[Any, ...]:
    shown = _number(value.value, estimate=value.definition.estimate)
    return value.quantity, value.of, shown, value.unit, value.reason or value.sensor


def _series_row(one: Series) -> tuple[Any, ...]:
    from slmdeploy.device.probes.definitions import DEFINITIONS

    definition = DEFINITIONS[one.quantity]
    known = [value for value in one.values if value is not None]
    if not known:
        return one.quantity, one.of, None, None, None, None, definition.unit, one.reason
    numbers = [value for value in known if isinstance(value, float)]
    ends = (known[0], min(numbers, default=None), max(numbers, default=None), known[-1])
    cells = [_number(value, estimate=definition.estimate) for value in ends]
    return one.quantity, one.of, *cells, definition.unit, len(known)


def _number(value: float | str | None, *, estimate: bool) -> str | None:
    if value is None or isinstance(value, str):
        return value
    text = f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"
    return f"{text}*" if estimate else text
