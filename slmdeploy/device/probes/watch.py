"""Watch a board while something runs there: sensors in series, on the runner's clock.

The agent is a measurement's guest: whatever happens to it, the measurement goes on, and
what it could not say is ``None`` with the reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmdeploy.device.probes import watch_scripts as scripts
from slmdeploy.device.probes.plan import plan_sources
from slmdeploy.device.probes.registry import probes
from slmdeploy.device.probes.series import Observed, parse_log
from slmdeploy.device.probes.types import Probe
from slmdeploy.device.runs.jobs import Job, start_job
from slmdeploy.device.script import script
from slmdeploy.errors import DeviceError
from slmdeploy.runtime import agent
from slmdeploy.transport.base import Transport

__all__ = ["DEADLINE_S", "Watch", "watched"]

DEADLINE_S = 6 * 3600.0
"""The agent ends by itself after this time, whoever forgot it."""

_FIRST_S, _LAST_S = 20.0, 15.0
_LOOK_S = 60.0
_AWAY_S = 20.0


@dataclass
class Watch:
    """What is seen of a board.

    Attributes:
        reason: Why nothing is; ``None`` while all is well.
        log: The agent's raw text, once it has ended.
    """

    transport: Transport
    probes: Sequence[Probe]
    reason: str | None = None
    log: str = ""
    _job: Job | None = None
    _stop: str = ""
    _seen: Observed | None = field(default=None, repr=False)

    def start(self, program: str | None, ends: Sequence[str] = ()) -> None:
        """Bring the agent to the board and start it; ``reason`` says if that fails."""
        try:
            self._start(program, ends)
        except DeviceError as error:
            self.reason = f"the agent did not start: {error.message}"

    def result(self) -> Observed:
        """End the agent, and give all that it saw; later calls give the same."""
        if self._seen is None:
            try:
                self._fetch()
            except DeviceError as error:
                self.reason = f"what the agent wrote could not be fetched: {error.message}"
            self._seen = parse_log(self.log, self.probes)
            if self.reason is None and self._seen.end is None:
                self.reason = "the agent was cut off"
            elif self.reason is None and self._seen.end != f"there is {self._stop}":
                self.reason = f"the agent ended too early: {self._seen.end}"
        return self._seen

    def _start(self, program: str | None, ends: Sequence[str]) -> None:
        home = self.transport.home()
        source = Path(agent.__file__)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
        place = f"{home}/agent/{digest}.py"
        look = script(scripts.LOOK, place)
        said = self.transport.check(look, timeout=_LOOK_S).stdout.split("\n")
        python = said[0].removeprefix("python ")
        if not python.strip():
            self.reason = "the board has no Python 3.6 or later for the agent"
            return
        if "absent" in said:
            self.transport.put(source, place)
        self._stop = f"{home}/tmp/stop-{uuid.uuid4().hex}"  # noqa: S108  # a folder of ours
        plan = {
            "sources": plan_sources(self.probes),
            "program": program,
            "stop": [self._stop, *ends],
            "deadline_s": DEADLINE_S,
        }
        self._job = start_job(
            self.transport,
            [python, "-I", "-S", "-B", place],
            stdin=json.dumps(plan).encode(),
            timeout_s=DEADLINE_S + 60,
            name="agent",
            away_s=_AWAY_S,
        )
        self._run(scripts.AWAIT, f"{self._job.folder}/out", str(round(10 * _FIRST_S)))

    def _fetch(self) -> None:
        job, self._job = self._job, None
        if job is None:
            return
        self._run(scripts.END, self._stop, f"{job.folder}/code", str(round(10 * _LAST_S)))
        job.stop()
        lines: list[str] = []
        # An agent that was killed has no exit code, and a log all the same.
        with contextlib.suppress(DeviceError):
            for line in job.follow(live=False, away_s=_AWAY_S):
                lines.append(line)  # noqa: PERF402  # what came before an error stays
        self.log = "".join(f"{line}\n" for line in lines)
        with contextlib.suppress(DeviceError):
            job.remove()

    def _run(self, text: str, *arguments: str) -> None:
        self.transport.run(script(text, *arguments), timeout=_LOOK_S)


@contextlib.contextmanager
def watched(
    transport: Transport,
    *,
    program: str | None,
    names: Sequence[str] | None = None,
    ends: Sequence[str] = (),
) -> Iterator[Watch]:
    """Have the board's sensors read while something runs there.

    Args:
        transport: The way to the board.
        program: Path on the board: processes whose program is it, or lies below it, are
            watched one after another; ``None`` for the board alone.
        names: Of probes; ``None`` for all.
        ends: Paths on the board: the agent ends by itself when one of them is there.

    Raises:
        UnknownNameError: There is no such probe.
    """
    watch = Watch(transport, probes(names))
    watch.start(program, ends)
    try:
        yield watch
    finally:
        watch.result()
