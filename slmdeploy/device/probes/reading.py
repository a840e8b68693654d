"""Read a board's sensors once, by one command of plain shell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slmdeploy.device.probes.registry import probes
from slmdeploy.device.probes.script import READ
from slmdeploy.device.probes.types import PID, Measured, Probe, Raw, Source, Text
from slmdeploy.errors import CommandError
from slmdeploy.transport.base import Transport

__all__ = ["parse_reading", "read_probes", "source_rows", "values_of"]

_TIMEOUT_S = 90.0


def read_probes(
    transport: Transport, names: Sequence[str] | None = None, *, pid: int | None = None
) -> tuple[Measured, ...]:
    """What the sensors say now; loads are those of the half second that it takes.

    Args:
        transport: The way to the board; no Python is needed there.
        names: Of probes; ``None`` for all.
        pid: A process to look at; without one, ``process`` says nothing.

    Returns:
        Values in the order of the probes; those that could not be had with their reason.

    Raises:
        UnknownNameError: There is no such probe.
        ConnectError: The board is away.
        CommandError: Its shell cannot run the script.
    """
    chosen = [probe for probe in probes(names) if pid is not None or not probe.of_process]
    argv = ["sh", "-c", READ, "sh", "" if pid is None else str(pid)]
    result = transport.run(argv, stdin=source_rows(chosen).encode(), timeout=_TIMEOUT_S)
    rounds = parse_reading(result.stdout)
    if not rounds:
        raise CommandError(("sh",), result.code, result.stderr)
    return tuple(value for probe in chosen for value in values_of(probe, rounds))


def values_of(probe: Probe, rounds: Sequence[Raw]) -> tuple[Measured, ...]:
    """The values of a probe, from one or two readings."""
    once = () if probe.parse is None else probe.parse(rounds[0])
    twice = () if probe.between is None else probe.between(rounds[0], rounds[-1])
    return (*once, *twice)


def parse_reading(text: str) -> list[Raw]:
    """What the script says: the texts of each round.

    A line that is none of the script's is passed over, and so is a text without its end.
    """
    rounds: list[dict[str, Text]] = []
    key, lines = "", list[str]()
    for line in text.split("\n"):
        tag, _, rest = line.partition(" ")
        if line.startswith("|"):
            lines.append(line[1:])
        elif tag == "round":
            rounds.append({})
        elif tag == "key":
            key, lines = rest, []
        elif rounds and key and tag == "end":
            rounds[-1][key] = Text("\n".join(lines) + "\n" if lines else "")
        elif rounds and key and tag == "miss":
            rounds[-1][key] = Text(None, rest)
    return list(rounds)


def source_rows(chosen: Iterable[Probe]) -> str:
    """Standard input of the script: each source once, twice where two readings are needed."""
    wanted: dict[str, tuple[int, Source]] = {}
    for probe in chosen:
        rounds = 1 if probe.between is None else 2
        for source in probe.sources:
            known = wanted.get(source.key, (0, source))[0]
            wanted[source.key] = (max(rounds, known), source)
    rows = (f"{rounds}\t{_kind(source)}\t{key}\n" for key, (rounds, source) in wanted.items())
    return "".join(rows)


def _kind(source: Source) -> str:
    if not isinstance(source.what, str):
        return "command"
    return "joined" if source.joined and PID not in source.what else "files"
