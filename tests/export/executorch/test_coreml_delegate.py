"""The package within a ``.pte`` is read back, and its methods compute what torch does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from slmdeploy.errors import EvaluationError, ExportError, ModelReadError
from slmdeploy.export.artifact import MethodInfo, TensorInfo
from slmdeploy.export.executorch.coreml_account import write
from slmdeploy.export.executorch.coreml_delegate import computed, delegate_method, lower_to_coreml
from slmdeploy.export.executorch.delegated import read_delegated
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import open_package
from slmdeploy.runtime.coreml import EvaluatorEngine
from slmdeploy.runtime.delegated import DelegateEngine
from tests.export.coreml.modules import Positioned


class Scaled(nn.Module):
    """Uses its second input first, so that the delegate takes them in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 32)

    def forward(self, x: torch.Tensor, by: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = by * 3
        return self.linear(x) * scaled, scaled


class Diagonal(nn.Module):
    """Core ML's partitioner leaves this operator outside."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.diagonal_copy(x + 1) * 2


class Counting(nn.Module):
    """Changes a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add_(x)
        return self.seen * 2


def examples(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 64, generator=generator), torch.randn(1, generator=generator)


def described(rows: int) -> MethodInfo:
    names = (("x", (rows, 64)), ("by", (1,))), (("y", (rows, 32)), ("scaled", (1,)))
    inputs, outputs = (
        tuple(TensorInfo(name=name, shape=shape, dtype="float32") for name, shape in group)
        for group in names
    )
    return MethodInfo(
        inputs=inputs,
        outputs=outputs,
        delegated_ops=1,
        total_ops=1,
        delegates=1,
        planned_bytes=0,
    )


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(3)
    made = Scaled()
    for parameter in made.parameters():  # float16 holds them, so that nothing is rounded
        parameter.data = parameter.data.half().float()
    return made.eval()


@pytest.fixture(scope="module")
def shared(module, tmp_path_factory):
    """A file with two methods of one module."""
    path = tmp_path_factory.mktemp("shared") / "model.pte"
    methods = {f"rows_{rows}": delegate_method(module, examples(rows)) for rows in (1, 5)}
    write(lower_to_coreml(methods, units="cpuAndGPU", constants={"get_rows": 5}), path)
    return path


@pytest.fixture(scope="module")
def single(module, tmp_path_factory):
    """A file with one method."""
    path = tmp_path_factory.mktemp("single") / "model.pte"
    write(lower_to_coreml({"forward": delegate_method(module, examples(2))}), path)
    return path


def test_methods_are_functions_of_one_package_that_has_their_weights_once(shared, tmp_path):
    inner = read_delegated(shared, tmp_path)
    assert set(inner.calls) == {"rows_1", "rows_5"}  # a constant is no call
    package = open_package(inner.package)
    assert set(package.functions) == {"rows_1", "rows_5"}
    assert package.deployment_target == "iOS18"
    assert all(not function.states for function in package.functions.values())
    weights = (inner.package / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    assert weights < 2 * 2 * 64 * 32
    assert inner.flattened_bytes <= shared.stat().st_size


def test_the_order_of_a_methods_arguments_is_found_in_its_call(shared, module, tmp_path):
    inner = read_delegated(shared, tmp_path)
    said = json.loads(next(tmp_path.rglob("metadata.json")).read_text())
    order = said["methods"]["rows_5"]["inputNames"]
    call = inner.calls["rows_5"]
    assert (list(call.inputs), order) == (["x", "by"], ["by", "x"])
    engine = DelegateEngine(
        shared,
        {"rows_1": described(1), "rows_5": described(5)},
        lambda package: EvaluatorEngine(package, "fp32"),
    )
    for rows in (1, 5):
        x, by = examples(rows)
        engine.start()
        given = engine.call(f"rows_{rows}", {"x": x.numpy(), "by": by.numpy()})
        with torch.no_grad():
            wanted = module(x, by)
        assert np.abs(given["y"] - wanted[0].numpy()).max() < 1e-5
        assert np.abs(given["scaled"] - wanted[1].numpy()).max() < 1e-5


def test_one_method_has_the_package_as_its_delegates_bytes(single, module, tmp_path):
    inner = read_delegated(single, tmp_path)
    assert {name: call.function for name, call in inner.calls.items()} == {"forward": "main"}
    engine = DelegateEngine(
        single, {"forward": described(2)}, lambda package: EvaluatorEngine(package, "fp32")
    )
    x, by = examples(2)
    given = engine.call("forward", {"x": x.numpy(), "by": by.numpy()})
    with torch.no_grad():
        assert np.abs(given["y"] - module(x, by)[0].numpy()).max() < 1e-5


class Unseen(nn.Module):
    """Attention whose last row sees no place, with a mask as transformers makes it."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        mask = torch.zeros(3, 3)
        mask[2] = torch.finfo(torch.float32).min
        return ((x @ x.T + mask).softmax(dim=-1) @ x,)


def test_torch_computes_with_the_numbers_of_the_package(tmp_path):
    module, x = Positioned(), torch.linspace(-2, 2, 40).reshape(1, 4, 10)
    for parameter in module.parameters():
        parameter.data = parameter.data.half().float()
    method = delegate_method(module, (x,))
    (wanted,) = computed(method)
    write(lower_to_coreml({"forward": method}), tmp_path / "model.pte")
    inner = read_delegated(tmp_path / "model.pte", tmp_path)
    (given,) = Evaluator(open_package(inner.package)).run("main", {"x": x.numpy()}).values()
    assert np.abs(given - wanted.numpy()).max() < 1e-5
    assert np.abs(module(x)[0].detach().numpy() - wanted.numpy()).max() > 1e-4


def test_a_row_that_sees_no_place_is_no_nan(tmp_path):
    x = torch.linspace(-1, 1, 12).reshape(3, 4)
    write(lower_to_coreml({"forward": delegate_method(Unseen(), (x,))}), tmp_path / "model.pte")
    one = TensorInfo(name="x", shape=(3, 4), dtype="float32")
    method = described(1).model_copy(
        update={"inputs": (one,), "outputs": (one.model_copy(update={"name": "y"}),)}
    )
    engine = DelegateEngine(
        tmp_path / "model.pte",
        {"forward": method},
        lambda package: EvaluatorEngine(package, "fp32"),
    )
    given = engine.call("forward", {"x": x.numpy()})["y"]
    assert np.abs(given[:2] - Unseen()(x)[0][:2].numpy()).max() < 1e-3
    assert np.isfinite(given).all()


def test_the_unpacked_package_goes_with_the_engine(single):
    engine = DelegateEngine(single, {}, lambda package: EvaluatorEngine(package, "fp32"))
    package = engine.package
    assert package.is_dir()
    del engine
    assert not package.exists()


def test_a_manifest_that_says_other_arguments_is_told_of(single):
    short = described(2).model_copy(update={"inputs": ()})
    engine = DelegateEngine(
        single,
        {"forward": short, "another": short},
        lambda package: EvaluatorEngine(package, "fp32"),
    )
    with pytest.raises(EvaluationError, match=r"'forward' has 2 inputs and 2 outputs in the file"):
        engine.call("forward", {})
    with pytest.raises(EvaluationError, match=r"no method 'another'; it has forward"):
        engine.call("another", {})


def test_the_file_says_what_core_ml_may_use(shared):
    from executorch.exir._serialize._program import deserialize_pte_binary

    plans = deserialize_pte_binary(shared.read_bytes()).program.execution_plan
    specs = [one for plan in plans for each in plan.delegates for one in each.compile_specs]
    assert {bytes(one.value) for one in specs if one.key == "compute_units"} == {b"cpu_and_gpu"}


def test_what_stays_outside_the_delegate_is_refused_by_name():
    with pytest.raises(ExportError, match=r"stayed outside the Core ML delegate: .*diagonal"):
        lower_to_coreml({"forward": delegate_method(Diagonal(), (torch.ones(3, 3),))})


def test_a_buffer_that_changes_is_refused_since_methods_would_not_share_it():
    with pytest.raises(ExportError, match=r"'forward' changes seen, which") as caught:
        lower_to_coreml({"forward": delegate_method(Counting(), (torch.ones(4),))})
    assert "in and out of the module" in str(caught.value.hint)


def test_a_file_without_the_delegate_is_refused(tmp_path):
    from executorch.exir import to_edge

    program = to_edge(torch.export.export(nn.ReLU(), (torch.ones(2),))).to_executorch()
    (tmp_path / "plain.pte").write_bytes(program.buffer)
    with pytest.raises(ModelReadError, match=r"plain\.pte is no program for Core ML: it holds 0"):
        read_delegated(tmp_path / "plain.pte", tmp_path)


@pytest.mark.parametrize("keep", [0, 40, 4000])
def test_a_file_that_was_cut_off_is_refused(single, tmp_path, keep):
    (tmp_path / "cut.pte").write_bytes(single.read_bytes()[:keep])
    with pytest.raises(ModelReadError, match=r"cut\.pte is"):
        read_delegated(tmp_path / "cut.pte", tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelReadError, match=r"none\.pte cannot be read"):
        read_delegated(tmp_path / "none.pte", tmp_path)
