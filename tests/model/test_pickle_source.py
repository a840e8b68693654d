"""Pickled weights: only where they are allowed, and nothing but tensors."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch

from slmdeploy.errors import ModelReadError
from slmdeploy.model.audit import audit_values
from slmdeploy.model.pickle_source import open_pickles
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def pickled(checkpoint, tiny):
    """Write a tiny model as ``pytorch_model.bin``."""

    def write(model=None, *, legacy=False):
        model = model or tiny()
        folder = checkpoint(model)
        (folder / "model.safetensors").unlink()
        state = OrderedDict(model.weights)
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
        return folder

    return write


def read(folder, *, allowed):
    return read_model(replace(parse_ref(str(folder)), allow_pickle=allowed))


def test_pickles_are_refused_by_default(pickled):
    with pytest.raises(ModelReadError, match=r"pickle \(pytorch_model\.bin\)") as caught:
        read(pickled(), allowed=False)
    assert "--allow-pickle" in (caught.value.hint or "")


@pytest.mark.parametrize("legacy", [False, True])
def test_the_same_model_comes_of_a_pickle(pickled, tiny, legacy):
    source = read(pickled(legacy=legacy), allowed=True).weights
    weights = tiny().weights
    assert source.names() == tuple(sorted(weights))
    assert all(torch.equal(source.load(name), weights[name]) for name in weights)
    assert (source.dtype(UP), source.nbytes(UP)) == ("float32", 4 * 96 * 64)
    assert source.file_of(UP).name == "pytorch_model.bin"
    assert audit_values(source, whole=True).tensors == len(weights)


def test_safetensors_go_before_pickles(checkpoint):
    folder = checkpoint()
    (folder / "pytorch_model.bin").write_bytes(b"not read")
    assert read(folder, allowed=True).weights.files()[0].name == "model.safetensors"


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_does_not_run(pickled, tmp_path):
    folder = pickled()
    torch.save({"w": Evil(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelReadError, match="holds more than tensors"):
        read(folder, allowed=True)
    assert not (tmp_path / "ran").exists()


def test_a_missing_shard_is_named(pickled):
    folder = pickled()
    index = {"weight_map": {"a": "pytorch_model.bin", "b": "pytorch_model-00002-of-00002.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelReadError, match=r"such as pytorch_model-00002-of-00002\.bin"):
        read(folder, allowed=True)


def test_values_that_are_not_finite_are_named(pickled, tiny):
    model = tiny()
    model.weights[UP][0, 0] = math.nan
    with pytest.raises(ModelReadError, match=rf"'{UP}' in .*pytorch_model\.bin has 1 of 6144"):
        read(pickled(model), allowed=True).weights.load(UP)


def test_a_damaged_pickle_is_our_error(pickled):
    folder = pickled()
    path = folder / "pytorch_model.bin"
    whole = path.read_bytes()
    for keep in (0, 10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(ModelReadError, match=r"pytorch_model\.bin"):
            open_pickles(folder)
    for at in range(0, min(len(whole), 6000), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with contextlib.suppress(ModelReadError):
            open_pickles(folder)
