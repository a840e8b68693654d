from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import save_file

from slmdeploy.errors import ModelReadError
from slmdeploy.model.safetensors_source import INDEX_NAME, open_safetensors

NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_come_as_float32_whatever_they_are_stored_in(checkpoint, tiny, dtype):
    model = tiny()
    source = open_safetensors(checkpoint(model, dtype=dtype))
    loaded = source.load(NAME)
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded, model.weights[NAME].to(dtype).float())
    assert source.dtype(NAME) == str(dtype).removeprefix("torch.")
    assert source.nbytes(NAME) == loaded.numel() * dtype.itemsize


def test_shards_are_one_checkpoint(checkpoint, tiny):
    model = tiny()
    source = open_safetensors(checkpoint(model, shards=3))
    assert source.names() == tuple(sorted(model.weights))
    assert len(source.files()) == 3
    assert all(torch.equal(source.load(name), model.weights[name]) for name in source.names())
    assert source.shape(NAME) == tuple(model.weights[NAME].shape)


def test_a_full_set_of_shards_needs_no_index(checkpoint, tiny):
    folder = checkpoint(tiny(), shards=2)
    (folder / INDEX_NAME).unlink()
    assert open_safetensors(folder).names() == tuple(sorted(tiny().weights))


@pytest.mark.parametrize("with_index", [True, False])
def test_a_missing_shard_is_named(checkpoint, with_index):
    folder = checkpoint(shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    if not with_index:
        (folder / INDEX_NAME).unlink()
    with pytest.raises(ModelReadError, match=r"1 of its shards: model-00002-of-00003\.safetensors"):
        open_safetensors(folder)


def test_a_truncated_shard_is_named_before_anything_is_loaded(checkpoint):
    folder = checkpoint(shards=2)
    shard = folder / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(ModelReadError, match=r"model-00001-of-00002\.safetensors is damaged"):
        open_safetensors(folder)


def test_an_index_that_names_tensors_no_shard_has_is_refused(checkpoint):
    folder = checkpoint(shards=2)
    index = json.loads((folder / INDEX_NAME).read_text())
    index["weight_map"]["ghost.weight"] = "model-00001-of-00002.safetensors"
    (folder / INDEX_NAME).write_text(json.dumps(index))
    with pytest.raises(ModelReadError, match=r"ghost\.weight"):
        open_safetensors(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_is_not_one_is_refused(checkpoint, text):
    folder = checkpoint(shards=2)
    (folder / INDEX_NAME).write_text(text)
    with pytest.raises(ModelReadError, match="not an index"):
        open_safetensors(folder)


def test_an_index_cannot_reach_outside_its_folder(checkpoint):
    folder = checkpoint(shards=2)
    (folder / INDEX_NAME).write_text('{"weight_map": {"w": "../../secret.safetensors"}}')
    with pytest.raises(ModelReadError, match="outside its folder"):
        open_safetensors(folder)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_found_when_loading(checkpoint, tiny, bad):
    model = tiny()
    model.weights[NAME][1, 2] = bad
    source = open_safetensors(checkpoint(model))
    with pytest.raises(ModelReadError, match=f"{NAME}.*1 of 6144 values that are NaN or infinite"):
        source.load(NAME)


def test_integers_are_not_weights(tmp_path):
    save_file({"position_ids": torch.arange(4)}, tmp_path / "model.safetensors")
    source = open_safetensors(tmp_path)
    assert source.dtype("position_ids") == "int64"
    with pytest.raises(ModelReadError, match="stored as int64"):
        source.load("position_ids")


def test_an_unknown_tensor_is_named(checkpoint):
    source = open_safetensors(checkpoint())
    with pytest.raises(ModelReadError, match="no tensor 'nothing'"):
        source.load("nothing")


def test_a_file_that_vanished_is_our_error(checkpoint):
    folder = checkpoint()
    source = open_safetensors(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelReadError, match="cannot be read"):
        source.load(NAME)


def test_pickled_weights_are_refused_by_name(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelReadError, match=r"pickle \(pytorch_model\.bin\)") as caught:
        open_safetensors(tmp_path)
    assert "--allow-pickle" in (caught.value.hint or "")


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelReadError, match="no weights"):
        open_safetensors(tmp_path)


def test_one_safetensors_file_may_have_any_name(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "other.safetensors")
    assert open_safetensors(tmp_path).names() == ("w",)


def test_several_files_that_are_no_set_of_shards_are_refused(tmp_path):
    for name in ("a", "b"):
        save_file({"w": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelReadError, match=r"several safetensors files.*a\.safetensors"):
        open_safetensors(tmp_path)
