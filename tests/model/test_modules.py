from __future__ import annotations

import pytest
import torch

from slmdeploy.errors import ModelReadError, UsageError
from slmdeploy.model.generic import example_inputs, load_generic
from slmdeploy.model.inspect import describe
from slmdeploy.model.modules import given_module
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.model.request import ModelRequest
from tests.model import nets

NETS = "tests.model.nets"


def read(name, **asked):
    return read_model(ModelRequest(name, **asked).ref())


def test_a_function_gives_a_module_with_named_inputs_and_outputs():
    model = read(f"{NETS}:images")
    assert (model.kind, model.task, model.name) == ("generic", "module", "images")
    assert model.given.input_names == ("image",)
    assert model.given.output_names == ("scores", "features")
    (image,) = example_inputs(model, 0)
    scores, features = load_generic(model)(image)
    wanted = nets.Images().eval()(image)
    torch.testing.assert_close(scores, wanted["scores"])
    torch.testing.assert_close(features, wanted["features"])


def test_a_module_is_described_as_any_model():
    described = describe(read(f"{NETS}:words"))
    assert described.architecture == "Words"
    assert described.parameters == 50 * 32 + 32 * 32 + 32


def test_one_output_and_a_single_tensor_have_plain_names():
    given = read(f"{NETS}:plain").given
    assert (given.input_names, given.output_names) == (("x",), ("output",))


def test_only_what_a_file_holds_decides_an_export():
    given = read(f"{NETS}:words").given
    assert not given.reusable
    assert given.sha256 == read(f"{NETS}:varying").given.sha256
    assert given.sha256 != read(f"{NETS}:images").given.sha256


def test_dynamic_shapes_are_said_with_their_bounds():
    model = read(f"{NETS}:varying")
    assert model.remarks == ("Sizes may vary: axis 1 of ids, length, 1 to 16.",)
    assert [(one.axis, one.least, one.most) for one in model.given.sizes[0]] == [(1, 1, 16)]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("alone", r"must give \(module, example inputs\).*not Words"),
        ("wrong_name", "example inputs are text, but forward takes ids"),
        ("no_tensor", "input 'ids' is str"),
        ("no_inputs", "no example inputs"),
        ("wrong_shape", "Images fails on its example inputs: RuntimeError"),
        ("damaged", r"linear\.bias.*1 of 32 values"),
        ("unwell", "nets:unwell fails: ValueError: no weights here"),
    ],
)
def test_what_is_wrong_with_a_function_is_said(function, said):
    with pytest.raises(ModelReadError, match=said):
        read(f"{NETS}:{function}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"{NETS}:nothing", "no function 'nothing'"),
        (f"{NETS}:NOT_A_FUNCTION", "no function 'NOT_A_FUNCTION'"),
        ("nowhere_at_all.net:make", "no module 'nowhere_at_all'"),
    ],
)
def test_a_function_that_is_not_there_is_a_wrong_command_line(name, said):
    with pytest.raises(UsageError, match=said):
        read(name)


def test_a_module_of_this_folder_is_found_and_one_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slm_net_here.py").write_text("import torch\n1 / 0\n")
    with pytest.raises(ModelReadError, match="slm_net_here cannot be imported: ZeroDivisionError"):
        read("slm_net_here:make")


def test_a_parameter_without_values_is_refused():
    with torch.device("meta"):
        module = torch.nn.Linear(2, 2)
    with pytest.raises(ModelReadError):
        given_module(module, (torch.ones(1, 2),))


@pytest.mark.parametrize("name", ["net.pt2", "net.pt"])
def test_files_with_pickles_are_read_only_where_that_is_allowed(tmp_path, name, programs):
    with pytest.raises(UsageError, match="holds pickles") as caught:
        read_model(parse_ref(str(programs / name)))
    assert "--allow-pickle" in caught.value.hint


def test_a_file_decides_an_export(programs):
    given = read(str(programs / "net.pt2"), allow_pickle=True).given
    assert given.reusable
    assert given.input_names == ("ids",)
