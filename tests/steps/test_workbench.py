"""What one command reads and compresses for several targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy.compress.recipe import load_recipe
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.progress import Step, silent
from slmdeploy.steps.workbench import Workbench

GOLDEN = np.arange(5), np.arange(3)


@pytest.fixture(scope="module")
def model(tiny_kjv):
    return read_model(parse_ref(str(tiny_kjv)))


def test_with_several_targets_a_model_is_read_once_and_compressed_once_a_recipe(model):
    steps: list[Step] = []
    bench = Workbench(model, keep=True)
    first = bench.compressed(load_recipe("8da8w"), 64, steps.append)
    again = bench.compressed(load_recipe("8da8w").model_copy(update={"name": "mine"}), 64, silent)
    other = bench.compressed(load_recipe("w8"), 64, steps.append)
    assert again is first
    assert other is not first
    names = [step.name for step in steps if step.finished]
    assert names == ["read the weights", "compress (8da8w)", "compress (w8)"]


def test_the_float_decoder_stays_as_it_was_beside_compressed_ones(model):
    bench = Workbench(model, keep=True)
    before = bench.decoder(64, silent).layer_list()[0].o.weight.clone()
    bench.compressed(load_recipe("8da8w"), 64, silent)
    after = bench.decoder(64, silent)
    assert bool((after.layer_list()[0].o.weight == before).all())
    table = after.embedding.get_parameter("weight")
    assert after.head.weight.data_ptr() == table.data_ptr()


def test_with_one_target_there_are_never_two_decoders(model):
    bench = Workbench(model, keep=False)
    decoder = bench.decoder(64, silent)
    compressed = bench.compressed(load_recipe("8da8w"), 64, silent)
    assert compressed.module is decoder
    assert bench.lent(compressed) is compressed


def test_tables_get_as_many_positions_as_a_target_wants(model):
    bench = Workbench(model, keep=True)
    assert bench.decoder(64, silent).cos.shape[0] == 64
    assert bench.decoder(96, silent).cos.shape[0] == 96
    found = bench.compressed(load_recipe("w8"), 96, silent)
    assert bench.compressed(load_recipe("w8"), 32, silent).module.cos.shape[0] == 32
    assert found.module.positions == 32


def test_an_exporter_that_takes_models_apart_gets_a_copy(model):
    bench = Workbench(model, keep=True)
    compressed = bench.compressed(load_recipe("8da8w"), 64, silent)
    logits = bench.logits(compressed, GOLDEN, silent)
    lent = bench.lent(compressed)
    assert lent.module is not compressed.module
    lent.module.norm.weight.data.zero_()
    assert bench.logits(compressed, GOLDEN, silent) is logits
    assert not bool((compressed.module.norm.weight == 0).all())
    assert isinstance(compressed.module.norm.weight, torch.nn.Parameter)


def test_conversions_go_with_the_work(model, tmp_path):
    bench = Workbench(model, keep=True)
    (tmp_path / "conversion").mkdir()
    bench.remember(tmp_path / "conversion")
    bench.close()
    assert list(tmp_path.iterdir()) == []
