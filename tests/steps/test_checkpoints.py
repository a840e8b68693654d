"""Steps of an export that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from slmdeploy.errors import DiskSpaceError, ParityError
from slmdeploy.steps.checkpoints import Checkpoints, checkpoints_for


@pytest.fixture
def kept(tmp_path):
    return Checkpoints(tmp_path / "kept")


def test_the_same_wishes_find_the_same_folder():
    assert checkpoints_for({"a": 1, "b": 2}) == checkpoints_for({"b": 2, "a": 1})


def test_another_wish_finds_another_folder():
    assert checkpoints_for({"context": 128}) != checkpoints_for({"context": 256})


def test_nothing_is_there_at_first(kept):
    assert not kept.has("model.pte")


def test_arrays_come_back_as_they_were(kept):
    logits = np.arange(6, dtype=np.float32).reshape(2, 3)
    kept.write_arrays("a.npz", {"logits": logits})
    np.testing.assert_array_equal(kept.read_arrays("a.npz")["logits"], logits)


def test_documents_come_back_as_they_were(kept):
    kept.write_json("a.json", {"absent": {"source": "why"}})
    assert kept.read_json("a.json") == {"absent": {"source": "why"}}


def test_an_interrupted_write_leaves_nothing(kept):
    def interrupted(path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.write("model.pte", interrupted)
    assert list(kept.folder.iterdir()) == []


def test_a_full_disk_is_named(kept):
    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskSpaceError, match="No space left"):
        kept.write("model.pte", full)


def test_steps_behind_a_broken_rung_are_forgotten(kept):
    kept.write_json("a.json", {})
    with pytest.raises(ParityError), kept.forgotten_on(ParityError):
        raise ParityError("The rung 'artifact' broke.")
    assert not kept.has("a.json")


def test_steps_outlive_any_other_error(kept):
    kept.write_json("a.json", {})
    with pytest.raises(KeyboardInterrupt), kept.forgotten_on(ParityError):
        raise KeyboardInterrupt
    assert kept.has("a.json")
