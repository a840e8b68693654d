from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from slmdeploy.compress.generic import compress_module
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from slmdeploy.errors import ModelReadError, UsageError
from slmdeploy.model.programs import (
    copied,
    load_program,
    load_torchscript,
    parse_input,
    with_layers,
)
from tests.model.nets import IDS, Words


@pytest.fixture(params=["net.pt2", "net.pt"])
def loaded(request, programs):
    load = load_program if request.param == "net.pt2" else load_torchscript
    return load(programs / request.param, ("1x8:int64",))[:2]


def test_a_program_computes_what_its_module_did(loaded):
    module, (example,) = loaded
    assert example.dtype == torch.int64
    with torch.no_grad():
        torch.testing.assert_close(module(IDS + 3), Words().eval()(IDS + 3))


def test_recipes_act_on_it_as_on_its_module(loaded):
    module = loaded[0].eval()
    kinds = [type(part) for part in module.modules()]
    assert nn.Linear in kinds
    assert nn.Embedding in kinds
    recipe = BUILTIN_RECIPES["8da8w"]
    with torch.no_grad():
        found = compress_module(module, recipe).module(IDS)
        wanted = compress_module(Words(), recipe).module(IDS)
    torch.testing.assert_close(found, wanted)


def test_a_program_brings_its_examples(programs):
    assert torch.equal(load_program(programs / "net.pt2", ())[1][0], IDS)


def test_torchscript_has_no_examples_so_they_are_asked_for(programs):
    with pytest.raises(UsageError, match="takes ids, and does not say") as caught:
        load_torchscript(programs / "net.pt", ())
    assert "--input" in caught.value.hint


@pytest.mark.parametrize("load", [load_program, load_torchscript])
def test_a_damaged_file_is_our_error(tmp_path, load):
    path = tmp_path / "net.pt2"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ModelReadError, match="cannot be read"):
        load(path, ("1x8",))


def test_a_weight_that_is_used_twice_stays_one():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(8, 4)

        def forward(self, ids):
            return nn.functional.linear(self.table(ids), self.table.weight)

    module = Tied().eval()
    again = with_layers(torch.export.export(module, (IDS % 8,)))
    torch.testing.assert_close(again(IDS % 8), module(IDS % 8))


def test_a_copy_of_a_program_is_quiet_and_shares_what_it_shall(programs):
    module, inputs, _ = load_program(programs / "net.pt2", ())
    table = module.get_submodule("layer_embedding").weight
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart, together = copied(module), copied(module, [table])
    torch.testing.assert_close(apart(*inputs), module(*inputs))
    assert apart.get_submodule("layer_embedding").weight is not table
    assert together.get_submodule("layer_embedding").weight is table


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("1x3x8x8", (1, 3, 8, 8), torch.float32),
        ("ids=1x16:int64", (1, 16), torch.int64),
        ("4:bool", (4,), torch.bool),
    ],
)
def test_inputs_are_written_as_shapes(text, shape, dtype):
    value = parse_input(text)
    assert (tuple(value.shape), value.dtype) == (shape, dtype)
    assert torch.equal(value, parse_input(text))
    assert value.float().max() > 0


@pytest.mark.parametrize("text", ["", "x", "1x", "1x2:complex64", "-1", "a=b=1"])
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(UsageError, match="is not an input"):
        parse_input(text)
