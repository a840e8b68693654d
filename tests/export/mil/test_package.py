"""Reading of packages, whole and damaged."""

from __future__ import annotations

import json
import shutil
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmdeploy.errors import EvaluationError, ModelError, ModelReadError
from slmdeploy.export.coreml.shim import coremltools
from slmdeploy.export.mil.blob import SENTINEL, BlobFile
from slmdeploy.export.mil.evaluate import Evaluator
from slmdeploy.export.mil.package import open_package
from slmdeploy.export.mil.types import DATA_TYPES, TensorType
from tests.export.mil.programs import saved

mb = coremltools.converters.mil.Builder
WEIGHT = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float16)
X = {"x": np.ones((2, 8), np.float32)}
MODEL, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"


def build(x):
    y = mb.linear(x=mb.cast(x=x, dtype="fp16"), weight=WEIGHT)
    return mb.cast(x=y, dtype="fp32", name="y")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return saved(build, X, tmp_path_factory.mktemp("whole")).path


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy.mlpackage")


def run(path):
    return Evaluator(open_package(path)).run("main", X)


def test_a_package_says_what_is_in_it(whole):
    package = open_package(whole)
    function = package.function("main")
    assert package.deployment_target == "iOS18"
    assert package.specification_version == 9
    assert package.default_function == "main"
    assert {name: str(of) for name, of in function.inputs.items()} == {"x": "float32 [2, 8]"}
    assert function.outputs == ("y",)
    assert str(function.output_types()["y"]) == "float32 [2, 16]"


def test_it_computes_with_the_weights_of_the_file(whole):
    expected = X["x"] @ WEIGHT.astype(np.float32).T
    np.testing.assert_allclose(run(whole)["y"], expected, atol=1e-5)


def test_an_unknown_function_is_named_with_those_that_are_there(whole):
    with pytest.raises(ModelReadError, match=r"no function 'decode'; it has main"):
        open_package(whole).function("decode")


@pytest.mark.parametrize("given", [{}, {"x": np.ones((2, 7))}, {**X, "z": np.ones(1)}])
def test_inputs_that_do_not_fit_are_refused(whole, given):
    with pytest.raises(EvaluationError, match="was given"):
        Evaluator(open_package(whole)).run("main", given)


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(ModelReadError, match="is no Core ML package"):
        open_package(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rootModelIdentifier": 3}'])
def test_a_manifest_without_a_model_is_refused(copied, text):
    (copied / "Manifest.json").write_text(text)
    with pytest.raises(ModelReadError, match="does not name a model"):
        open_package(copied)


def test_a_manifest_that_leads_out_of_the_package_is_refused(copied):
    said = json.loads((copied / "Manifest.json").read_text())
    said["itemInfoEntries"][said["rootModelIdentifier"]]["path"] = "../../model.mlmodel"
    (copied.parent / "model.mlmodel").write_bytes((copied / MODEL).read_bytes())
    (copied / "Manifest.json").write_text(json.dumps(said))
    with pytest.raises(ModelReadError, match="a model that is not there"):
        open_package(copied)


def test_weights_outside_the_package_are_refused(copied):
    data = (copied / MODEL).read_bytes()
    here, there = b"@model_path/weights/weight.bin", b"@model_path/../../../weight.bi"
    assert here in data
    (copied / MODEL).write_bytes(data.replace(here, there))
    with pytest.raises(ModelReadError, match="outside its package"):
        run(copied)


def test_a_missing_weight_file_is_named(copied):
    (copied / WEIGHTS).unlink()
    with pytest.raises(ModelReadError, match=r"weight\.bin cannot be read"):
        run(copied)


@pytest.mark.parametrize("kept", [0, 10, 70, 140, 300])
def test_a_truncated_weight_file_is_refused(copied, kept):
    (copied / WEIGHTS).write_bytes((copied / WEIGHTS).read_bytes()[:kept])
    with pytest.raises(ModelReadError, match=r"weight\.bin|[Bb]lob"):
        run(copied)


@pytest.mark.parametrize("cut", [1, 100, 400])
def test_a_truncated_program_is_refused(copied, cut):
    (copied / MODEL).write_bytes((copied / MODEL).read_bytes()[:-cut])
    with pytest.raises(ModelReadError, match="is damaged"):
        open_package(copied)


def test_an_operator_that_is_not_known_is_named(copied):
    data = (copied / MODEL).read_bytes()
    assert data.count(b"\x0a\x06linear") == 1
    (copied / MODEL).write_bytes(data.replace(b"\x0a\x06linear", b"\x0a\x06lineal"))
    with pytest.raises(EvaluationError, match="does not compute the operator 'lineal'") as caught:
        run(copied)
    assert caught.value.exit_code == 3


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, 5000), byte=st.integers(0, 255))
def test_a_changed_byte_is_computed_or_refused_and_nothing_else(
    whole, place, byte, tmp_path_factory
):
    copy = shutil.copytree(whole, tmp_path_factory.mktemp("changed") / "c.mlpackage")
    data = bytearray((copy / MODEL).read_bytes())
    data[place % len(data)] = byte
    (copy / MODEL).write_bytes(data)
    with suppress(ModelError):
        package = open_package(copy)
        for name in package.functions:
            Evaluator(package).run(name, X)
    shutil.rmtree(copy.parent)


@given(
    kind=st.integers(0, 20),
    size=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**64 - 1),
    offset=st.integers(0, 200),
)
def test_forged_metadata_of_a_blob_are_refused(kind, size, start, offset, tmp_path_factory):
    path = tmp_path_factory.mktemp("blob") / "weight.bin"
    record = struct.pack("<IIQQ", SENTINEL, kind, size, start)
    path.write_bytes(bytes(64) + record + bytes(40))
    tensor = TensorType(DATA_TYPES[10], (4, 4))
    with suppress(ModelReadError):
        assert BlobFile(path).read(offset, tensor).shape == (4, 4)
        assert (offset, kind) == (64, 1)
        assert start + size <= 64 + 24 + 40


def test_a_blob_of_another_type_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<IIQQ", SENTINEL, 2, 4, 24) + bytes(4))
    with pytest.raises(ModelReadError, match="holds FLOAT32; the program says FLOAT16"):
        BlobFile(tmp_path / "w").read(0, TensorType(DATA_TYPES[10], (2,)))
