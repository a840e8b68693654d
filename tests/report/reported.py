"""Records as a measurement makes them, to be reported."""

from __future__ import annotations

from slmdeploy.bench.measure import measure, measure_invoke
from slmdeploy.bench.observing import with_sensors
from slmdeploy.bench.summary import size_values
from slmdeploy.bench.workload import invoke_workload, synthetic
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.device.probes.series import Observed
from slmdeploy.errors import RunnerError
from slmdeploy.store.record import Record, make_record

from ..bench.traces import FakeRunner, event, generation, invocation  # noqa: TID252
from ..store.recorded import MODEL  # noqa: TID252

SIZES = size_values({"artifact_bytes": 100 << 20, "bundle_bytes": 110 << 20})


def made(measurement, name: str, **changes) -> Record:
    record = make_record(
        measurement,
        bundle="demo--rpi5-executorch",
        manifest_sha256=None,
        model=MODEL,
        recipe=BUILTIN_RECIPES["8da4w"],
        target="rpi5-executorch",
        device="pi5-a",
        sizes=SIZES,
        provenance={},
    )
    return record.model_copy(update={"id": name, **changes})


def decoder(name: str = "aaa", itl_ms=(10.0, 10.0, 12.5), *, tokens=8, threads=4, **changes):
    scripts = [generation([latency] * (tokens - 1)) for latency in itl_ms]
    workload = synthetic(1000, prompt=100, generate=tokens)
    runner = FakeRunner(scripts)
    measured = measure(runner, workload, processes=len(scripts), warmup=0, threads=threads)
    return made(measured, name, **changes)


def on_a_board(name: str = "eee", *readings, reason=None) -> Record:
    """A decoder on a board whose sensors said this, or were not read for that reason."""
    workload = synthetic(1000, prompt=100, generate=21)
    measured = measure(
        FakeRunner([generation([100.0] * 20)]),
        workload,
        processes=1,
        warmup=0,
        observe=lambda samples: with_sensors(samples, Observed(readings), reason),
    )
    return made(measured, name)


def delegated(name: str = "fff", **took) -> Record:
    """A decoder whose runner says what a delegate took."""
    said = {"delegate": "XNNPACK", "delegates": 1, "delegated_ops": 90, "total_ops": 100, **took}
    events = [*generation([100.0] * 20), event("delegation", method="decode", **said)]
    workload = synthetic(1000, prompt=100, generate=21)
    return made(measure(FakeRunner([events]), workload, processes=1, warmup=0), name)


def partly_failed(name: str = "bbb") -> Record:
    scripts = [generation(), RunnerError("killed by signal 9", cause="died"), generation()]
    workload = synthetic(1000, prompt=100, generate=8)
    return made(measure(FakeRunner(scripts), workload, processes=3, warmup=0, threads=4), name)


def failed(name: str = "ccc") -> Record:
    runner = FakeRunner([RunnerError("no operator llama::custom_sdpa", cause="operator")])
    return made(measure(runner, synthetic(1000, prompt=100, generate=8), threads=4), name)


def generic(name: str = "ddd") -> Record:
    workload = invoke_workload("forward", [], runs=10, warmup=1)
    runner = FakeRunner([invocation([2.0] * 10)])
    return made(measure_invoke(runner, workload, [], processes=1, warmup=0), name)
