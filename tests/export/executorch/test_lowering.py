from __future__ import annotations

import pytest
import torch
from torch import nn
from torchao.utils import unwrap_tensor_subclass

from slmdeploy.compress.quantize import quiet_torchao
from slmdeploy.compress.recipe import LinearSpec, Recipe
from slmdeploy.errors import ExportError
from slmdeploy.export.executorch.lowering import LoweredStage, StageLowering
from slmdeploy.export.executorch.program import Method, assemble, write_program
from slmdeploy.export.executorch.storage import store_as
from slmdeploy.model.decoder import FirstStage, MiddleStage
from tests.export.executorch.tiny import CONFIG, compressed

HEADS = CONFIG.heads * CONFIG.head_dim
SCHEMES = {
    "none": LinearSpec(),
    "fp16": LinearSpec(scheme="fp16"),
    "w8": LinearSpec(scheme="w8"),
    "w4": LinearSpec(scheme="w4"),
    "8da4w": LinearSpec(scheme="8da4w", group_size=32),
    "8da4w-channel": LinearSpec(scheme="8da4w"),
    "8da8w": LinearSpec(scheme="8da8w"),
}
QUICK = ("8da4w",)


def parts(stage: LoweredStage) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Everything that a delegate puts into the file: its graph, and its constants by name."""
    output = stage.delegate.named_data_store_output
    data = [(name, bytes(output.buffers[e.buffer_index])) for name, e in output.pte_data.items()]
    return bytes(stage.delegate.processed_bytes), data


def siblings(spec: LinearSpec, *, middle: bool = False) -> list[tuple[nn.Module, tuple]]:
    """Two stages of one kind with other weights, and example inputs."""
    module = compressed(Recipe(name="t", body=spec), layers=3).module
    store_as(module, lambda name: spec)
    with quiet_torchao():
        unwrap_tensor_subclass(module)
    first, second, third = module.layer_list()
    x, rotary = torch.zeros(1, CONFIG.hidden_size), torch.zeros(1, 1, CONFIG.head_dim)
    if not middle:
        inputs = (x, rotary, rotary.clone())
        return [(FirstStage(first), inputs), (FirstStage(second), inputs)]
    inputs = (x, torch.zeros(1, HEADS), rotary, rotary.clone())
    return [(MiddleStage(first, second), inputs), (MiddleStage(second, third), inputs)]


def assert_either_order_gives_the_same(one, other) -> None:
    there, back = StageLowering(), StageLowering()
    long_one, short_other = there.lower(*one), there.lower(*other)
    long_other, short_one = back.lower(*other), back.lower(*one)
    assert parts(short_other) == parts(long_other)
    assert parts(short_one) == parts(long_one)
    assert parts(long_one) != parts(long_other)


@pytest.mark.parametrize(
    "scheme", [pytest.param(s, marks=[] if s in QUICK else [pytest.mark.slow]) for s in SCHEMES]
)
def test_a_sibling_gets_the_bytes_that_the_long_way_gives_it(scheme):
    assert_either_order_gives_the_same(*siblings(SCHEMES[scheme]))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["none", "8da8w"])
def test_so_do_the_layers_between_first_and_last(scheme):
    assert_either_order_gives_the_same(*siblings(SCHEMES[scheme], middle=True))


class _Normed(nn.Module):
    """A batch norm after a linear layer, which a pass folds into a weight of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.linear, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)
        self.norm.running_mean.normal_()
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.linear(x))


def test_a_graph_with_constants_made_by_a_pass_is_not_used_for_a_sibling():
    one, other = (_Normed(0), (torch.zeros(2, 8),)), (_Normed(1), (torch.zeros(2, 8),))
    lowering = StageLowering()
    assert lowering.lower(*one).operators == 2
    assert parts(lowering.lower(*other)) == parts(StageLowering().lower(*other))


def test_other_shapes_of_input_get_a_graph_of_their_own():
    stage = nn.Linear(8, 8).eval().requires_grad_(requires_grad=False)
    lowering = StageLowering()
    one, two = (lowering.lower(stage, (torch.zeros(rows, 8),)) for rows in (1, 2))
    assert [tuple(lowered(torch.ones(n, 8))[0].shape) for n, lowered in ((1, one), (2, two))] == [
        (1, 8),
        (2, 8),
    ]
    assert parts(one)[0] != parts(two)[0]
    assert parts(one)[1] == parts(two)[1]


def test_what_several_stages_hold_is_kept_once_in_memory():
    stage = nn.Linear(8, 8).eval().requires_grad_(requires_grad=False)
    lowering = StageLowering()
    one, two = (
        lowering.lower(stage, (torch.zeros(rows, 8),)).delegate.named_data_store_output.buffers
        for rows in (1, 2)
    )
    assert [id(buffer) for buffer in one] == [id(buffer) for buffer in two]


class _Sorting(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sort(x * 2)[0] + 1


def test_a_stage_that_does_not_fit_is_refused_by_the_operators_that_are_left():
    with pytest.raises(ExportError, match=r"_Sorting does not fit .* outside them .*aten::sort"):
        StageLowering().lower(_Sorting(), (torch.zeros(1, 8),))


class _Swapping(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        difference = b - a
        return difference * b, difference


def test_inputs_and_outputs_keep_their_places_around_the_delegate(tmp_path):
    from executorch.runtime import Runtime

    inputs = (torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 20.0]]))
    method = Method(StageLowering().lower(_Swapping(), inputs), inputs, ("a", "b"), ("c", "d"))
    path = tmp_path / "model.pte"
    write_program(assemble({"forward": method}, {}), path)
    product, difference = Runtime.get().load_program(path).load_method("forward").execute(inputs)
    assert product.tolist() == [[90.0, 360.0]]
    assert difference.tolist() == [[9.0, 18.0]]
