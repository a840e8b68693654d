from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slmdeploy.bundle.folder import file_table, finish, open_bundle
from slmdeploy.bundle.manifest import MANIFEST_NAME, TokenizerInfo
from slmdeploy.errors import BundleError, DiskSpaceError, HostError
from slmdeploy.model.tokenizer import Tokenizer
from tests.bundle.bundles import PROMPT, make, manifest, stage

OLD, NEW = b"old artifact", b"new artifact!"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def bundle(tmp_path):
    return make(tmp_path / "tiny")


@pytest.mark.parametrize("verify", [False, True])
def test_a_finished_bundle_opens_as_it_was_written(bundle, verify):
    assert open_bundle(bundle.path, verify=verify) == bundle


def test_the_artifact_lies_in_the_folder(bundle, tmp_path):
    assert bundle.artifact_path == tmp_path / "tiny" / "model.pte"
    assert bundle.artifact_path.is_file()


def test_every_file_but_the_manifest_is_listed_in_order(bundle):
    (bundle.path / "tokenizer").mkdir()
    (bundle.path / "tokenizer" / "tokenizer.json").write_bytes(b"{}")
    table = file_table(bundle.path)
    assert list(table) == ["golden.npz", "model.pte", "tokenizer/tokenizer.json"]
    assert table["tokenizer/tokenizer.json"].bytes == 2
    empty_object = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert table["tokenizer/tokenizer.json"].sha256 == empty_object


def test_a_link_has_no_place_in_a_bundle(bundle):
    (bundle.path / "more").symlink_to(bundle.path)
    with pytest.raises(BundleError, match="is a link"):
        file_table(bundle.path)


@pytest.mark.parametrize("place", ["", "nothing/here", "tiny/model.pte"])
def test_a_path_without_manifest_is_no_bundle(bundle, tmp_path, place):
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        open_bundle(tmp_path / place)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"manifest"])
def test_a_manifest_that_is_not_json_is_refused(bundle, data):
    (bundle.path / MANIFEST_NAME).write_bytes(data)
    with pytest.raises(BundleError, match="is not JSON"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("data", ["[]", "1", "null", "{}"])
def test_json_of_another_shape_is_refused(bundle, data):
    (bundle.path / MANIFEST_NAME).write_text(data)
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        open_bundle(bundle.path)


def rewrite(folder, **changed):
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_a_newer_manifest_is_named_as_such(bundle):
    rewrite(bundle.path, version=2, invented=True)
    with pytest.raises(BundleError, match="has version 2; this slmdeploy reads up to 1") as caught:
        open_bundle(bundle.path)
    assert "Update slmdeploy" in str(caught.value)


@pytest.mark.parametrize("version", [0, "1", None])
def test_a_version_that_never_was_is_refused(bundle, version):
    rewrite(bundle.path, version=version)
    with pytest.raises(BundleError, match="version"):
        open_bundle(bundle.path)


def test_a_manifest_that_does_not_list_its_artifact_is_refused(bundle):
    rewrite(bundle.path, files={})
    with pytest.raises(BundleError, match=r"does not list its artifact 'model\.pte'"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_a_file_outside_of_the_bundle_is_refused(bundle, name):
    info = {"bytes": 1, "sha256": "0" * 64}
    rewrite(bundle.path, files={"model.pte": {"bytes": 8, "sha256": "0" * 64}, name: info})
    with pytest.raises(BundleError, match="lies outside of the bundle"):
        open_bundle(bundle.path)


@pytest.mark.parametrize(
    "sha256", ["../" * 4 + ".ssh/authorized_keys", "A" * 64, "a" * 64 + "\n", ""]
)
def test_a_sha256_that_is_none_is_refused(bundle, sha256):
    """Files of boards are named by it."""
    rewrite(bundle.path, files={"model.pte": {"bytes": 8, "sha256": sha256}})
    with pytest.raises(BundleError, match=r"files\.model\.pte\.sha256"):
        open_bundle(bundle.path)


def test_a_file_that_is_missing_is_named(bundle):
    bundle.artifact_path.unlink()
    with pytest.raises(BundleError, match=r"lacks 'model\.pte'"):
        open_bundle(bundle.path)


def test_a_file_cut_short_is_named_with_both_sizes(bundle):
    bundle.artifact_path.write_bytes(b"art")
    with pytest.raises(BundleError, match=r"model\.pte.*it has 3 bytes, not 8"):
        open_bundle(bundle.path)


def test_changed_content_of_the_same_size_is_seen_when_asked_for(bundle):
    bundle.artifact_path.write_bytes(b"ARTIFACT")
    open_bundle(bundle.path)
    with pytest.raises(BundleError, match=r"model\.pte.*its sha256 is"):
        open_bundle(bundle.path, verify=True)


def test_golden_vectors_come_back_as_they_were_stored(bundle):
    golden = bundle.golden()
    assert list(golden) == ["prompt"]
    assert golden["prompt"].dtype == np.int64
    assert np.array_equal(golden["prompt"], PROMPT)


def test_a_bundle_without_golden_vectors_gives_none(tmp_path):
    made = finish(manifest(golden=None), stage(tmp_path / "staging"), tmp_path / "tiny")
    assert made.golden() == {}


def test_golden_vectors_are_never_unpickled(bundle):
    np.savez(bundle.path / "golden.npz", prompt=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(BundleError, match="plain arrays"):
        bundle.golden()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"text"])
def test_damaged_golden_vectors_are_refused(bundle, data):
    (bundle.path / "golden.npz").write_bytes(data)
    with pytest.raises(BundleError, match="plain arrays"):
        bundle.golden()


def test_a_bare_array_in_place_of_golden_vectors_is_refused(bundle):
    with (bundle.path / "golden.npz").open("wb") as file:
        np.save(file, PROMPT)
    with pytest.raises(BundleError, match="plain arrays"):
        bundle.golden()


def with_tokenizer(tmp_path, source):
    """A bundle whose tokenizer lies in a folder of its own."""
    staging = stage(tmp_path / "staging")
    (staging / "tokenizer").mkdir()
    Tokenizer.from_directory(source).save(staging / "tokenizer")
    info = TokenizerInfo(
        file="tokenizer/tokenizer.json",
        sha256=file_table(staging)["tokenizer/tokenizer.json"].sha256,
        vocab_size=1,
        bos_id=None,
        stop_ids=(),
        chat_template=False,
    )
    return finish(manifest(tokenizer=info, tokenizer_reason=None), staging, tmp_path / "tiny")


def test_the_tokenizer_is_the_models_own(tmp_path, tiny_intents):
    made = with_tokenizer(tmp_path, tiny_intents)
    text = "turn on the light"
    assert made.tokenizer().encode(text) == Tokenizer.from_directory(tiny_intents).encode(text)


def test_a_damaged_tokenizer_is_the_bundles_fault(tmp_path, tiny_intents):
    made = with_tokenizer(tmp_path, tiny_intents)
    (made.path / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match="tokenizer"):
        made.tokenizer()


def test_a_bundle_without_tokenizer_gives_none(bundle):
    assert bundle.tokenizer() is None


def test_a_new_bundle_takes_the_place_of_the_old_one(tmp_path):
    make(tmp_path / "tiny", OLD)
    assert make(tmp_path / "tiny", NEW).artifact_path.read_bytes() == NEW
    assert names(tmp_path) == ["tiny"]


def test_the_place_of_a_bundle_may_be_a_link(tmp_path):
    make(tmp_path / "elsewhere" / "tiny", OLD)
    (tmp_path / "tiny").symlink_to(tmp_path / "elsewhere" / "tiny")
    made = finish(manifest(), stage(tmp_path / "staging", NEW), tmp_path / "tiny")
    assert (tmp_path / "tiny").is_symlink()
    assert open_bundle(made.path).artifact_path.read_bytes() == NEW


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_bundle_is_not_replaced(tmp_path, kind):
    final = tmp_path / "tiny"
    mine = final / "notes.txt" if kind == "folder" else final
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(BundleError, match="is there and is not a bundle"):
        finish(manifest(), stage(tmp_path / "staging"), final)
    assert mine.read_text() == "mine"


def test_an_empty_folder_may_become_the_bundle(tmp_path):
    (tmp_path / "tiny").mkdir()
    assert make(tmp_path / "tiny").artifact_path.is_file()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_step_that_fails_leaves_the_old_bundle(tmp_path, monkeypatch, step, error):
    final = make(tmp_path / "tiny", OLD).path
    staging = stage(tmp_path / "staging", NEW)
    real, calls = Path.replace, []

    def failing(self, target):
        calls.append(self)
        if len(calls) == step:
            raise error
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        with pytest.raises(HostError if isinstance(error, OSError) else KeyboardInterrupt):
            finish(manifest(), staging, final)
    assert len(calls) >= step
    assert open_bundle(final, verify=True).artifact_path.read_bytes() == OLD
    assert names(tmp_path) == ["staging", "tiny"]


KILLED = """
import os, shutil, sys
from pathlib import Path
from slmdeploy.bundle.folder import finish
from tests.bundle.bundles import manifest

step, calls, real, remove = int(sys.argv[1]), [0], Path.replace, shutil.rmtree

def dying(function):
    def called(*given, **named):
        calls[0] += 1
        if calls[0] == step:
            os._exit(9)
        return function(*given, **named)
    return called

Path.replace, shutil.rmtree = dying(real), dying(remove)
finish(manifest(), Path("staging"), Path("tiny"))
"""


def finish_and_die(folder, repo_root, step):
    """Finish a bundle in a process that is killed before its ``step``-th move or removal."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(step)],
        cwd=folder,
        env={"PYTHONPATH": str(repo_root)},
        check=False,
    ).returncode


# 1: the manifest, 2: the old one aside, 3: the new one in, 4: the old one removed.
@pytest.mark.parametrize(("step", "left"), [(1, OLD), (2, OLD), (3, OLD), (4, NEW)])
def test_a_killed_process_leaves_the_old_bundle_or_the_new_one(tmp_path, repo_root, step, left):
    final = make(tmp_path / "tiny", OLD).path
    stage(tmp_path / "staging", NEW)
    assert finish_and_die(tmp_path, repo_root, step) == 9
    assert open_bundle(final, verify=True).artifact_path.read_bytes() == left


@pytest.mark.parametrize("step", [3, 4])
def test_the_next_bundle_clears_away_what_a_killed_process_left(tmp_path, repo_root, step):
    final = make(tmp_path / "tiny", OLD).path
    stage(tmp_path / "staging", NEW)
    assert finish_and_die(tmp_path, repo_root, step) == 9
    last = finish(manifest(), stage(tmp_path / "again", b"last"), final)
    assert last.artifact_path.read_bytes() == b"last"
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    staging = stage(tmp_path / "staging")

    def full(self, *given, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskSpaceError, match="no room"):
        finish(manifest(), staging, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()
