"""States, precision and what is kept, in programs of our own."""

from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.errors import EvaluationError
from slmdeploy.export.coreml.shim import coremltools
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import open_package
from tests.export.mil.programs import saved

mb = coremltools.converters.mil.Builder
WEIGHT = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float16)


def counting(scale, path):
    """A function that adds ``scale * x`` to the state ``total`` and gives it."""
    from coremltools.converters.mil.mil import types

    with quiet():
        specs = [
            mb.TensorSpec(shape=(4,), dtype=types.fp16),
            mb.StateTensorSpec(shape=(4,), dtype=types.fp16),
        ]

        @mb.program(input_specs=specs, opset_version=coremltools.target.iOS18)
        def program(x, total):
            before = mb.read_state(input=total)
            after = mb.add(x=before, y=mb.mul(x=x, y=np.float16(scale)))
            return mb.coreml_update_state(state=total, value=after, name="now")

        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=coremltools.target.iOS18,
            skip_model_load=True,
        )
        model.save(str(path))


@pytest.fixture(scope="module")
def counters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counters")
    described = coremltools.utils.MultiFunctionDescriptor()
    for name, scale in (("one", 1.0), ("ten", 10.0)):
        counting(scale, folder / f"{name}.mlpackage")
        described.add_function(str(folder / f"{name}.mlpackage"), "main", name)
    described.default_function_name = "one"
    with quiet():
        coremltools.utils.save_multifunction(described, str(folder / "both.mlpackage"))
    return open_package(folder / "both.mlpackage")


def add(evaluator, function, value):
    return next(iter(evaluator.run(function, {"x": np.full(4, value)}).values()))[0]


def test_functions_share_a_state_that_outlives_a_call(counters):
    evaluator = Evaluator(counters)
    assert [add(evaluator, name, 1.0) for name in ("one", "ten", "one")] == [1.0, 11.0, 12.0]
    assert evaluator.states["total"].tolist() == [12.0] * 4


def test_a_reset_and_another_evaluator_begin_with_zeros(counters):
    evaluator = Evaluator(counters)
    add(evaluator, "ten", 1.0)
    evaluator.reset()
    assert add(evaluator, "one", 1.0) == 1.0
    assert add(Evaluator(counters), "one", 2.0) == 2.0


@pytest.mark.parametrize(("mode", "total"), [("fp32", 2049.0), ("fp16", 2048.0)])
def test_float16_is_rounded_in_its_mode_alone(counters, mode, total):
    evaluator = Evaluator(counters, mode)
    add(evaluator, "one", 2048.0)
    assert add(evaluator, "one", 1.0) == total


def test_what_is_not_kept_is_expanded_again_to_the_same(tmp_path):
    def build(x):
        y = mb.linear(x=mb.cast(x=x, dtype="fp16"), weight=WEIGHT)
        return mb.cast(x=y, dtype="fp32", name="y")

    given = {"x": np.ones((2, 8), np.float32)}
    package = saved(build, given, tmp_path)
    kept, fresh = Evaluator(package), Evaluator(package, kept_bytes=0)
    expected = kept.run("main", given)["y"]
    for evaluator in (kept, fresh, fresh):
        np.testing.assert_array_equal(evaluator.run("main", given)["y"], expected)


def test_a_watch_sees_results_before_they_are_rounded(counters):
    seen = {}
    evaluator = Evaluator(
        counters, "fp16", watch=lambda operation, name, result: seen.update({name: result})
    )
    evaluator.run("ten", {"x": np.full(4, 6560.0)})
    assert any(np.all(result == 65600.0) for result in seen.values())
    assert np.isinf(evaluator.states["total"]).all()


def test_an_operator_says_what_it_was_given(tmp_path):
    def build(x, i):
        return mb.gather(x=x, indices=i, axis=0, name="picked")

    given = {"x": np.ones((3, 2), np.float32), "i": np.array([7], np.int32)}
    package = saved(build, given, tmp_path)
    with pytest.raises(EvaluationError, match=r"gather \(picked.*\) of 'main' cannot be computed"):
        Evaluator(package).run("main", given)
