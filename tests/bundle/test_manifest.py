from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from slmdeploy.bundle.manifest import (
    ArtifactInfo,
    FileInfo,
    Manifest,
    MethodInfo,
    RungResult,
    TokenizerInfo,
)
from slmdeploy.compress.recipe import BUILTIN_RECIPES
from tests.bundle.bundles import manifest

numbers = st.floats(allow_nan=False, allow_infinity=False)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
plain = st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=8)
documents = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def fields_of(kind, **chosen):
    """Values of a model's class: each field any value that its type allows."""
    types = {name: field.annotation for name, field in kind.model_fields.items()}
    free = {name: st.from_type(annotation) for name, annotation in types.items()}
    return st.fixed_dictionaries({**free, **chosen}).map(lambda values: kind(**values))


@pytest.fixture(autouse=True, scope="module")
def strategies():
    """How values of some types are made; JSON has neither NaN nor infinity."""
    st.register_type_strategy(float, numbers)
    for kind in (MethodInfo, RungResult):  # fields with factories, which hypothesis would give
        st.register_type_strategy(kind, fields_of(kind))
    for kind in (FileInfo, TokenizerInfo, ArtifactInfo):  # hypothesis knows no patterns of pydantic
        st.register_type_strategy(kind, fields_of(kind, sha256=digests))
    yield
    st.register_type_strategy(float, st.floats())


any_manifest = st.deferred(
    lambda: fields_of(
        Manifest,
        recipe=st.sampled_from(list(BUILTIN_RECIPES.values())),
        provenance=st.dictionaries(st.text(max_size=4), documents, max_size=3),
    )
)


@given(made=any_manifest)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_manifest_comes_back_from_json_as_it_was(made):
    assert Manifest.model_validate_json(made.model_dump_json()) == made


def test_a_manifest_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        manifest().name = "another"


@pytest.mark.parametrize("field", sorted(Manifest.model_fields))
def test_a_wrong_value_of_a_field_is_named(field):
    wrong = {**manifest().model_dump(), field: object()}
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate(wrong)
    assert caught.value.errors()[0]["loc"][0] == field


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="invented"):
        Manifest.model_validate({**manifest().model_dump(), "invented": 1})


def test_reading_a_manifest_needs_no_torch():
    code = "import sys, slmdeploy.bundle.folder; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
