from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.errors import UsageError
from slmdeploy.model.request import ModelRequest, parse_adapters, parse_lengths, request_of


def test_what_is_said_of_a_model_goes_into_its_reference():
    ref = ModelRequest("demo", allow_pickle=True, pooling="cls", inputs=("1x4",)).ref()
    assert (ref.kind, ref.allow_pickle, ref.pooling, ref.inputs) == ("demo", True, "cls", ("1x4",))


def test_a_name_alone_is_a_request():
    assert request_of("demo") == ModelRequest("demo")
    asked = ModelRequest("demo", allow_pickle=True)
    assert request_of(asked) is asked


def test_adapters_have_names():
    given = ("law=./a", "med_2=b=c")
    assert parse_adapters(given) == {"law": Path("a"), "med_2": Path("b=c")}


@pytest.mark.parametrize("text", ["law", "=a", "law=", "a/b=c", ""])
def test_an_adapter_without_name_or_folder_is_refused(text):
    with pytest.raises(UsageError, match="is not an adapter"):
        parse_adapters((text,))


def test_lengths_stand_with_commas_between():
    assert parse_lengths("32,128") == (32, 128)
    assert parse_lengths(None) == ()
    assert ModelRequest("demo", lengths=(32, 128)).ref().lengths == (32, 128)


@pytest.mark.parametrize("text", ["", "32,", "many", "0,8", "-4"])
def test_anything_else_are_no_lengths(text):
    with pytest.raises(UsageError, match="are no lengths"):
        parse_lengths(text)


def test_two_adapters_of_one_name_are_refused():
    with pytest.raises(UsageError, match="Two adapters are called 'a'"):
        parse_adapters(("a=x", "a=y"))
