"""Ask a board what decides which runtimes it can run."""

from __future__ import annotations

import time

from slmdeploy.device.doctor.gather import facts_of
from slmdeploy.device.doctor.script import READ
from slmdeploy.device.facts import Reading
from slmdeploy.device.provision.board_python import read_interpreters
from slmdeploy.device.provision.runtime_choice import BoardAbility
from slmdeploy.device.script import script
from slmdeploy.runtime.elf import Version
from slmdeploy.transport.base import Transport

__all__ = ["read_ability"]

_TIMEOUT_S = 60.0


def read_ability(transport: Transport, *, python: bool) -> BoardAbility:
    """What the doctor reads as well, and the board's Pythons.

    Args:
        transport: The way to the board.
        python: Whether its Pythons are asked, too.

    Raises:
        ConnectError: It is away.
        CommandError: It did not answer in time.
    """
    before = time.time()
    said = transport.run(script(READ), timeout=_TIMEOUT_S).stdout
    facts = facts_of(said, before, time.time())
    system, cpu = facts.system, facts.cpu
    symbols: dict[str, Version] = {}
    if facts.libstdcxx.value is not None:
        symbols.update(facts.libstdcxx.value.versions)
    symbols.pop("GLIBC", None)  # what the library needs, not what the board has
    if facts.glibc.value is not None:
        symbols["GLIBC"] = facts.glibc.value
    return BoardAbility(
        machine=Reading(system.value.machine if system.value else None, system.reason),
        loaders=system.value.loaders if system.value else (),
        symbols=symbols,
        features=Reading(cpu.value.features if cpu.value else None, cpu.reason),
        pythons=read_interpreters(transport) if python else (),
    )
