from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.compress.recipe import (
    BUILTIN_RECIPES,
    EmbeddingSpec,
    LinearSpec,
    Recipe,
    SparsitySpec,
)
from slmdeploy.export.options import ExecutorchOptions
from slmdeploy.target.load import load_target
from slmdeploy.target.profile import Limits, TargetProfile
from slmdeploy.target.recipes import refusal
from slmdeploy.target.write import profile_toml, to_toml

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
groups = st.sampled_from([None, 32, 64, 128])
sparsities = st.sampled_from([SparsitySpec(pattern="2:4"), SparsitySpec(fraction=0.25)])
specs = st.one_of(
    st.builds(LinearSpec, scheme=st.sampled_from(["none", "fp16", "8da8w", "w4", "w8"])),
    st.builds(LinearSpec, scheme=st.just("8da4w"), group_size=groups),
    st.builds(LinearSpec, scheme=st.just("w8"), sparsity=sparsities),
)
recipes = st.one_of(
    st.sampled_from([r for r in BUILTIN_RECIPES.values() if refusal("executorch", r) is None]),
    st.builds(
        Recipe,
        name=names,
        description=texts,
        body=specs,
        head=st.none() | specs,
        embedding=st.builds(EmbeddingSpec, bits=st.sampled_from([2, 4, 8, 16, 32])),
    ),
)
amounts = st.none() | st.integers(1, 2**45)
profiles = st.builds(
    TargetProfile,
    name=names,
    description=texts,
    board=names,
    runtime=st.just("executorch"),
    recipe=recipes,
    export=st.builds(
        ExecutorchOptions,
        kernels=st.sampled_from(["portable", "llm"]),
        context=st.none() | st.integers(16, 2**20),
        logits=st.sampled_from(["last", "all"]),
    ),
    arch=st.sampled_from(["host", "x86_64", "aarch64"]),
    glibc=st.none() | st.integers(0, 99).map(lambda minor: f"2.{minor}"),
    limits=st.builds(Limits, ram_bytes=amounts, disk_bytes=amounts),
    threads=st.none() | st.integers(1, 1024),
    notes=st.lists(texts, max_size=3).map(tuple),
)


@given(profiles)
def test_a_profile_reads_back_as_it_was_written(profile):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{profile.name}.toml"
        path.write_text(profile_toml(profile), encoding="utf-8", newline="")
        assert load_target(str(path)) == profile


trees = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | st.lists(texts, max_size=3),
    lambda inner: st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, trees, max_size=4))
def test_any_table_reads_back_as_it_was_written(data):
    assert tomllib.loads(to_toml(data)) == data
