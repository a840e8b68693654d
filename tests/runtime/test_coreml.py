"""A Core ML package driven as an app drives it, by any engine."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from slmdeploy.errors import EvaluationError
from slmdeploy.export.artifact import CacheInfo, MethodInfo, TensorInfo
from slmdeploy.export.coreml.shim import coremltools
from slmdeploy.runtime.coreml import CoremlRunner, EvaluatorEngine, PredictEngine, find_packages
from slmdeploy.runtime.protocol import GenerateRequest, InvokeRequest, ScoreRequest
from tests.bundle.bundles import manifest
from tests.export.mil.programs import saved

CHUNK, PLACES, VOCAB = 4, 10, 32


def info(length, *, last, cache=()):
    named = {"ids": (1, length), "position": (1,), **({"last": (1,)} if last else {})}
    inputs = [TensorInfo(name=name, shape=shape, dtype="int32") for name, shape in named.items()]
    inputs += [TensorInfo(name=name, shape=(PLACES,), dtype="float16") for name in cache]
    rows = 1 if last else length
    outputs = (TensorInfo(name="logits", shape=(rows, VOCAB), dtype="float16"),)
    return MethodInfo(
        inputs=tuple(inputs),
        outputs=outputs,
        delegated_ops=None,
        total_ops=1,
        delegates=None,
        planned_bytes=None,
    )


def described(*, last=True, cache=()):
    methods = {
        "decode": info(1, last=False, cache=cache),
        "prefill": info(CHUNK, last=last, cache=cache),
    }
    base = manifest()
    return base.model_copy(
        update={
            "artifact": base.artifact.model_copy(update={"methods": methods, "runtime": "coreml"}),
            "prefill_chunk": CHUNK,
            "cache": CacheInfo(layout="", dtype="float16", layers=1, capacity=PLACES, bytes=0),
        }
    )


class Remembers:
    """An engine whose cache holds token ids: a row's largest logit is the sum of those before."""

    def __init__(self, *, stateless=False):
        self.calls = []
        self.stateless = stateless

    def start(self):
        self.cache = np.zeros(PLACES, np.float32)

    def call(self, function, inputs):
        self.calls.append((function, inputs["ids"][0].tolist(), int(inputs["position"][0])))
        cache = inputs["k_cache"].copy() if self.stateless else self.cache
        ids, start = inputs["ids"][0], int(inputs["position"][0])
        cache[start : start + len(ids)] = ids
        rows = np.stack([np.eye(VOCAB)[int(cache[: start + i + 1].sum())] for i in range(len(ids))])
        if "last" in inputs:
            rows = rows[inputs["last"]]
        return {"logits": rows, **({"k_cache_out": cache} if self.stateless else {})}


TOKENS = (1, 2, 3, 1, 2, 1, 3, 2, 1)
SUMS = list(np.cumsum(TOKENS))


@pytest.mark.parametrize("last", [True, False])
def test_chunks_are_filled_up_and_rows_are_those_of_the_tokens(last):
    engine = Remembers()
    logits = CoremlRunner(engine, described(last=last)).score(ScoreRequest(TOKENS, prompt_length=6))
    assert logits.shape == (4, VOCAB)
    assert logits.argmax(-1).tolist() == SUMS[5:]
    assert engine.calls == [
        ("prefill", [1, 2, 3, 1], 0),
        ("prefill", [2, 1, 0, 0], 4),
        ("decode", [3], 6),
        ("decode", [2], 7),
        ("decode", [1], 8),
    ]


def test_a_chunk_that_would_reach_beyond_the_cache_starts_earlier():
    engine = Remembers()
    logits = CoremlRunner(engine, described()).score(ScoreRequest(TOKENS, prompt_length=9))
    assert logits.argmax(-1).tolist() == [SUMS[8]]
    assert engine.calls[-1] == ("prefill", [3, 2, 1, 0], PLACES - CHUNK)


def test_a_cache_that_goes_in_and_comes_out_is_handed_on_and_begins_empty():
    runner = CoremlRunner(Remembers(stateless=True), described(cache=("k_cache",)))
    for _ in range(2):
        logits = runner.score(ScoreRequest(TOKENS, prompt_length=6))
        assert logits.argmax(-1).tolist() == SUMS[5:]


def test_text_is_not_written_here():
    with pytest.raises(EvaluationError, match="is not written by the evaluator"):
        CoremlRunner(Remembers(), described()).generate(GenerateRequest((1,), max_new=3))


def test_a_folder_without_a_package_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="has none in it"):
        find_packages(tmp_path)


@pytest.fixture(scope="module")
def doubling(tmp_path_factory):
    """A package whose only function doubles its input."""
    mb = coremltools.converters.mil.Builder
    given = {"x": np.ones(3, np.float32)}
    package = saved(lambda x: mb.mul(x=x, y=2.0, name="y"), given, tmp_path_factory.mktemp("two"))
    return package.path


def generic():
    one = {name: TensorInfo(name=name, shape=(3,), dtype="float32") for name in ("x", "y")}
    method = info(1, last=False).model_copy(update={"inputs": (one["x"],), "outputs": (one["y"],)})
    base = manifest()
    artifact = base.artifact.model_copy(update={"methods": {"main": method}})
    return base.model_copy(update={"artifact": artifact})


class FakeModel:
    """Stands for ``coremltools.models.MLModel`` on a Mac: doubles, and counts its calls."""

    made: ClassVar[list[FakeModel]] = []

    def __init__(self, path, **several):
        self.path, self.several = path, several
        self.states = []
        FakeModel.made.append(self)

    def make_state(self):
        return {"calls": 0}

    def predict(self, data, state=None):
        if state is not None:
            state["calls"] += 1
        self.states.append(None if state is None else dict(state))
        return {"y": np.asarray(data["x"]) * 2}


@pytest.mark.parametrize("engine", ["evaluator", "predict"])
def test_both_engines_give_the_same_by_the_same_call(doubling, engine):
    made = {
        "evaluator": lambda: EvaluatorEngine(doubling, "fp32"),
        "predict": lambda: PredictEngine(doubling, FakeModel),
    }[engine]()
    x = np.arange(3, dtype=np.float32)
    (found,), events = CoremlRunner(made, generic()).invoke(InvokeRequest("forward", (x,)))
    assert (found.tolist(), events) == ([0.0, 2.0, 4.0], ())


def test_core_ml_loads_a_package_once_and_without_a_function_where_it_has_one(doubling):
    FakeModel.made = []
    engine = PredictEngine(doubling, FakeModel)
    for _ in range(2):
        engine.start()
        engine.call("main", {"x": np.ones(3)})
    (model,) = FakeModel.made
    assert (model.path, model.several, model.states) == (str(doubling), {}, [None, None])


def test_functions_of_core_ml_share_one_state_until_the_next_start(doubling):
    engine = PredictEngine(doubling, FakeModel)
    models = {name: FakeModel(name) for name in ("prefill", "decode")}
    engine._models = {name: (model, True) for name, model in models.items()}
    x = {"x": np.ones(3)}
    engine.start()
    for name in ("prefill", "decode", "decode"):
        engine.call(name, x)
    engine.start()
    engine.call("decode", x)
    assert [one["calls"] for one in models["prefill"].states] == [1]
    assert [one["calls"] for one in models["decode"].states] == [2, 3, 1]
