"""Each rule finds what it is for, and nothing in a program without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slmdeploy.export.coreml.shim import coremltools
from slmdeploy.export.litert.quiet import quiet
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.lint import RULES, lint
from slmdeploy.export.mil.overflow import OverflowWatch
from slmdeploy.export.mil.package import open_package
from tests.export.mil.programs import saved

mb = coremltools.converters.mil.Builder
X = {"x": np.ones((4, 8), np.float32)}
AT = {**X, "at": np.array([1], np.int32)}


def found(build, inputs, folder):
    return {one.rule.id: one for one in lint(saved(build, inputs, folder))}


def test_a_plain_program_has_no_finding(tmp_path):
    assert found(lambda x: mb.softmax(x=mb.relu(x=x), axis=-1), X, tmp_path) == {}


def test_a_slice_at_a_constant_place_is_none_at_run_time(tmp_path):
    def build(x):
        return mb.slice_by_size(x=x, begin=[0, 1], size=[1, 2])

    assert found(build, X, tmp_path) == {}


def test_a_slice_whose_place_is_computed_is_found(tmp_path):
    def build(x, at):
        place = mb.concat(values=[at, np.array([0], np.int32)], axis=0)
        return mb.slice_by_size(x=x, begin=place, size=[1, 8], name="cut")

    (finding,) = found(build, AT, tmp_path).values()
    assert (finding.rule.id, finding.rule.severity, finding.count) == ("runtime-slice", "note", 1)
    assert finding.names == ("cut",)


def test_lookups_and_scatters_are_found(tmp_path):
    def build(x, at):
        one = np.ones((1, 8), np.float32)
        return mb.scatter(
            data=mb.gather(x=x, indices=at, axis=0),
            indices=np.array([0], np.int32),
            updates=one,
            axis=0,
            mode="add",
        )

    findings = found(build, AT, tmp_path)
    assert set(findings) == {"gather-on-cpu", "not-on-neural-engine"}
    assert findings["not-on-neural-engine"].names[0].startswith("scatter ")


@pytest.mark.parametrize(("dtype", "rules"), [("fp16", {"angles-in-float16"}), ("fp32", set())])
def test_sines_are_found_where_the_angle_is_rounded(tmp_path, dtype, rules):
    def build(x):
        return mb.cast(x=mb.sin(x=mb.cast(x=x, dtype=dtype)), dtype="fp32")

    assert set(found(build, X, tmp_path)) == rules


def stateful(shape, folder, flexible=None):
    import torch

    class Adds(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.zeros(shape))

        def forward(self, x):
            self.kept.add_(x.sum())
            return self.kept.sum() + x

    with quiet():
        traced = torch.jit.trace(Adds().eval(), torch.ones(2), check_trace=False)
        model = coremltools.convert(
            traced,
            inputs=[coremltools.TensorType("x", shape=flexible or (2,))],
            states=[
                coremltools.StateType(
                    wrapped_type=coremltools.TensorType(shape=shape, dtype=np.float16), name="kept"
                )
            ],
            minimum_deployment_target=coremltools.target.iOS18,
            skip_model_load=True,
        )
        model.save(str(folder / "s.mlpackage"))
    return {one.rule.id: one for one in lint(open_package(folder / "s.mlpackage"))}


@pytest.mark.parametrize(
    ("shape", "names"),
    [((3, 64, 32), ()), ((3, 64, 20), ("kept [3, 64, 20]",)), ((40, 32), ("kept [40, 32]",))],
)
def test_rows_of_a_state_are_multiples_of_32(tmp_path, shape, names):
    findings = stateful(shape, tmp_path)
    assert (findings["state-size"].names if names else ()) == names
    assert ("state-size" in findings) == bool(names)


def test_a_set_of_shapes_beside_a_state_is_found(tmp_path):
    shapes = coremltools.EnumeratedShapes(shapes=[(2,), (4,)])
    finding = stateful((32, 32), tmp_path, shapes)["enumerated-shapes-with-states"]
    assert finding.names == ("x",)


@pytest.mark.parametrize(("value", "over"), [(200.0, 0), (300.0, 1)])
def test_a_norm_whose_squares_overflow_is_found_by_running_it(tmp_path, value, over):
    def build(x):
        y = mb.cast(x=x, dtype="fp16")
        mean = mb.reduce_mean(x=mb.mul(x=y, y=y, name="squares"), axes=[-1], keep_dims=True)
        return mb.cast(x=mb.mul(x=y, y=mb.rsqrt(x=mean, epsilon=np.float16(1e-5))), dtype="fp32")

    watch = OverflowWatch()
    package = saved(build, X, tmp_path)
    Evaluator(package, "fp16", watch=watch).run("main", {"x": np.full((4, 8), value)})
    findings = watch.findings("main")
    assert [one.count for one in findings] == [1] * over
    assert watch.largest["mul"] == value**2
    if over:
        assert findings[0].rule.severity == "error"
        assert findings[0].names == ("mul squares (9e+04)",)


def test_the_page_has_every_rule_with_its_severity():
    page = (Path(__file__).parents[3] / "docs" / "coreml-verification.md").read_text("utf-8")
    for rule in RULES.values():
        assert f"| `{rule.id}` | {rule.severity} |" in page


def test_every_rule_says_where_it_is_known_from():
    for name, rule in RULES.items():
        assert (rule.id, bool(rule.text), bool(rule.source)) == (name, True, True)
