from __future__ import annotations

import pytest

from slmdeploy.errors import ModelReadError, UsageError
from slmdeploy.model.ref import parse_ref


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_demo_is_the_demo_model_even_beside_a_folder_of_that_name(tmp_path):
    (tmp_path / "demo").mkdir()
    assert parse_ref("demo").kind == "demo"
    assert parse_ref("./demo").kind == "directory"


def test_an_existing_folder_goes_before_a_hub_id_of_the_same_spelling(tmp_path):
    (tmp_path / "org" / "name").mkdir(parents=True)
    ref = parse_ref("org/name")
    assert (ref.kind, ref.path, ref.hub_id, ref.name) == (
        "directory",
        (tmp_path / "org/name").relative_to(tmp_path),
        None,
        "name",
    )


def test_the_folder_dot_is_named_by_its_real_name(tmp_path, monkeypatch):
    (tmp_path / "my model").mkdir()
    monkeypatch.chdir(tmp_path / "my model")
    assert parse_ref(".").name == "my-model"


@pytest.mark.parametrize("suffix", [".gguf", ".GGUF"])
def test_a_gguf_file_is_named_by_its_stem(tmp_path, suffix):
    (tmp_path / f"a.Q4_1{suffix}").touch()
    ref = parse_ref(f"a.Q4_1{suffix}")
    assert (ref.kind, ref.name) == ("gguf", "a.Q4_1")


@pytest.mark.parametrize(
    ("text", "hub_id", "revision", "name"),
    [
        ("HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M", None, "SmolLM2-135M"),
        ("a/b@main", "a/b", "main", "b"),
        ("a/b@refs/pr/3", "a/b", "refs/pr/3", "b"),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B", None, "Qwen2.5-0.5B"),
    ],
)
def test_a_hub_id_may_carry_a_revision(text, hub_id, revision, name):
    ref = parse_ref(text)
    assert (ref.kind, ref.hub_id, ref.revision, ref.name) == ("hub", hub_id, revision, name)


@pytest.mark.parametrize(
    "text",
    ["./none", "../none/x", "/none", "~/none", "none/x.gguf", "a/b/c", "x/", "w.safetensors"],
)
def test_what_looks_like_a_path_and_is_not_there_is_said_so(text):
    with pytest.raises(UsageError, match="no file or folder"):
        parse_ref(text)


@pytest.mark.parametrize("text", ["smollm", "", "two words", "a/b c"])
def test_what_is_neither_says_what_was_looked_for(text):
    with pytest.raises(UsageError, match="hub id"):
        parse_ref(text)


def test_a_near_name_is_suggested(tmp_path):
    (tmp_path / "smollm2").mkdir()
    with pytest.raises(UsageError, match="Did you mean 'smollm2'"):
        parse_ref("smolm2")
    with pytest.raises(UsageError, match=r"Did you mean '\./smollm2'|Did you mean 'smollm2'"):
        parse_ref("./smolm2")


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("model.safetensors", "Name the folder"),
        ("config.json", "Name the folder"),
        ("pytorch_model.bin", "pickle"),
        ("net.pth", "pickle"),
        ("notes.txt", "folder with config.json"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_way_out(tmp_path, file, hint):
    (tmp_path / file).touch()
    with pytest.raises(ModelReadError) as caught:
        parse_ref(file)
    assert hint in (caught.value.hint or "")
