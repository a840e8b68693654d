from __future__ import annotations

import pytest


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    for name in ("models/demo/file", "runners/abc/runner", "somebodys/work"):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 5000)
    (folder / "sha256.json").write_text("{}")
    return folder


def test_show_counts_by_kind(cli_json, cache):
    code, document = cli_json("cache", "show")
    assert (code, document["schema"]) == (0, "slmdeploy/cache-show/1")
    assert document["path"] == str(cache)
    found = {kind["name"]: (kind["files"], kind["bytes"]) for kind in document["kinds"]}
    assert found["models"][0] == found["runners"][0] == 1
    assert found["models"][1] >= 5000
    assert found["exports"] == (0, 0)


def test_clean_removes_all_kinds_and_nothing_else(cli, cache):
    assert cli("cache", "clean").exit_code == 0
    assert [path.name for path in cache.iterdir()] == ["somebodys"]


def test_clean_of_one_kind_leaves_the_others(cli, cache):
    assert cli("cache", "clean", "runners").exit_code == 0
    assert not (cache / "runners").exists()
    assert (cache / "models").exists()


def test_clean_with_dry_run_only_says_what_would_go(cli_json, cache):
    code, document = cli_json("cache", "clean", "--dry-run")
    assert code == 0
    assert [kind["name"] for kind in document["removed"]] == ["models", "runners", "sha256.json"]
    assert (cache / "models").exists()


def test_clean_of_an_unknown_kind_removes_nothing(cli, cache):
    done = cli("cache", "clean", "models", "somebodys")
    assert done.exit_code == 2
    assert (cache / "models").exists()


def test_clean_does_not_follow_a_link(cli, cache, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    (cache / "exports").symlink_to(elsewhere)
    assert cli("cache", "clean").exit_code == 0
    assert (elsewhere / "file").read_text() == "mine"


def test_clean_of_nothing_says_so(cli):
    assert cli("cache", "clean").stdout == "Nothing to remove.\n"
