"""What the board's sensors said while a process ran, as it is kept in a record."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["BoardWatch", "SensorSeries"]


class SensorSeries(BaseModel):
    """The readings of one value of one sensor.

    Attributes:
        quantity: Id of its definition (``device/probes/definitions.py``).
        of: What it was measured of; empty for the board.
        unit: Of the numbers; empty for words.
        sensor: The file or command that it came from.
        t_ns: When each was read, on the runner's clock.
        values: As many; ``None`` where a reading gave none.
        reason: Why one gave none, or why there is none at all.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    quantity: str
    of: str = ""
    unit: str = ""
    sensor: str
    t_ns: tuple[int, ...] = ()
    values: tuple[float | str | None, ...] = ()
    reason: str | None = None


class BoardWatch(BaseModel):
    """How the board was watched during a measurement.

    Attributes:
        reason: Why it was not, or not to the end; ``None`` if all went well.
        agent_cpu_share: Processor time of the agent and its commands, of one core.
        agent_wall_s: For how long that was.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: str | None = None
    agent_cpu_share: float | None = None
    agent_wall_s: float | None = None
