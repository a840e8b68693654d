"""Records to keep and read back."""

from __future__ import annotations

from datetime import UTC, datetime

from slmdeploy.bench.samples import MemoryStamp, ProcessSample, TokenStamp
from slmdeploy.bench.summary import MetricValue
from slmdeploy.bench.workload import GenerateWorkload
from slmdeploy.bundle.manifest import ModelInfo
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.store.record import Record

MODEL = ModelInfo(
    name="demo",
    source="demo",
    kind="decoder",
    architecture="llama",
    parameters=134_515_008,
    dtype="float32",
    license="Apache-2.0",
    note="dequantized Q4_1",
    weights_sha256="ab" * 32,
)
SAMPLE = ProcessSample(
    kind="generate",
    role="timed",
    index=0,
    outcome="ok",
    memory=(MemoryStamp(phase="load", t_ns=2**62, rss_bytes=None),),
    tokens=(TokenStamp(index=0, id=5, t_ns=2**62 + 1),),
)
FAILED = ProcessSample(kind="generate", role="timed", index=1, outcome="failed", reason="killed")


def record(**changes) -> Record:
    known = {
        "created": datetime(2026, 11, 22, 19, 51, 32, tzinfo=UTC),
        "status": "valid",
        "bundle": "demo--rpi5-executorch",
        "manifest_sha256": "cd" * 32,
        "model": MODEL,
        "recipe": BUILTIN_RECIPES["8da4w"],
        "target": "rpi5-executorch",
        "device": "pi5-a",
        "threads": 4,
        "workload": GenerateWorkload(source="synthetic", prompt=(5, 6), generate=4, seed=0),
        "metrics": {
            "ttft_ms": MetricValue(value=52.25, unit="ms", n=3, spread=0.01),
            "itl_p99_ms": MetricValue(value=None, unit="ms", n=9, reason="p99 needs 100 values"),
        },
        "provenance": {"versions": {"slmdeploy": "0.1.0"}, "host": {"kernel": None}},
        "samples": (SAMPLE, FAILED),
    }
    return Record.model_validate({**known, **changes})
