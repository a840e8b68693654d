"""Synthetic traces with known answers, and a runner that plays them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from slmdeploy.errors import SlmdeployError
from slmdeploy.runtime.protocol import Event, GenerateRequest, InvokeRequest, ScoreRequest

MS = 1_000_000
MIB = 1 << 20


def event(kind: str, **data) -> Event:
    return Event(kind, data)


def start(t_ns: int = 0) -> list[Event]:
    """Starts at ``t_ns`` and loads for 30 ms."""
    phases = [("library", 0, 5), ("program", 5, 10), ("method", 10, 22), ("method", 22, 30)]
    return [
        event("start", protocol=1, runtime="executorch", runner_version="1", arch="x86_64",
              threads=2, pid=7, t_ns=t_ns),
        *(event("load", phase=phase, name="x", start_ns=t_ns + a * MS, end_ns=t_ns + b * MS)
          for phase, a, b in phases),
        memory("load", t_ns + 30 * MS, anon=50, file=90, peak=150),
    ]  # fmt: skip


def memory(phase: str, t_ns: int, *, anon: int, file: int, peak: int, faults: int = 0) -> Event:
    return event("memory", phase=phase, t_ns=t_ns, rss_bytes=(anon + file) * MIB,
                 anon_bytes=anon * MIB, file_bytes=file * MIB, shmem_bytes=0,
                 peak_rss_bytes=peak * MIB, major_faults=faults)  # fmt: skip


def generation(
    itl_ms: Sequence[float] = (10.0,) * 7,
    *,
    prompt: int = 100,
    prefill_ms: float = 50.0,
    ids: Sequence[int] | None = None,
    t_ns: int = 10**12,
    reason: str = "length",
) -> list[Event]:
    """Load 30 ms, gap 1 ms, prefill, first token 2 ms later, then the given latencies."""
    begin = t_ns + 31 * MS
    end = begin + round(prefill_ms * MS)
    stamps = [end + 2 * MS]
    for latency in itl_ms:
        stamps.append(stamps[-1] + round(latency * MS))
    tokens = ids if ids is not None else range(1000, 1000 + len(stamps))
    return [
        *start(t_ns),
        event("prefill", position=0, tokens=prompt, start_ns=begin, end_ns=end),
        memory("prefill", end, anon=80, file=100, peak=190),
        *(
            event("token", index=i, id=int(token), t_ns=stamp, start_ns=stamp - MS)
            for i, (stamp, token) in enumerate(zip(stamps, tokens, strict=True))
        ),
        memory("decode", stamps[-1], anon=85, file=95, peak=190, faults=3),
        event("done", reason=reason, generated=len(stamps), t_ns=stamps[-1] + MS),
    ]


def invocation(latencies_ms: Sequence[float]) -> list[Event]:
    spans, at = [], 40 * MS
    for i, latency in enumerate(latencies_ms):
        spans.append(event("run", index=i, start_ns=at, end_ns=at + round(latency * MS)))
        at += round(latency * MS) + MS
    return [*start(), *spans, event("done", reason="complete", t_ns=at)]


class FakeRunner:
    """Plays one script per process: a list of events, an error, or events and then one."""

    def __init__(self, scripts: Sequence[object], outputs: Sequence[np.ndarray] = ()) -> None:
        self.scripts = list(scripts)
        self.outputs = outputs or (np.zeros((1, 2), np.float32),)
        self.requests: list[object] = []

    def _next(self, request: object) -> Iterator[Event]:
        self.requests.append(request)
        script = self.scripts.pop(0)
        for item in script if isinstance(script, list) else [script]:
            if isinstance(item, SlmdeployError):
                raise item
            yield item

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        return self._next(request)

    def score(self, request: ScoreRequest) -> np.ndarray:
        raise NotImplementedError

    def invoke(self, request: InvokeRequest) -> tuple[tuple[np.ndarray, ...], tuple[Event, ...]]:
        return tuple(self.outputs), tuple(self._next(request))
