"""Records of what other tools measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from slmdeploy.errors import UnknownNameError, UsageError
from slmdeploy.steps.importing import import_file


def test_an_unknown_format_lists_those_that_there_are(tmp_path: Path):
    (tmp_path / "log").write_text("whatever")
    with pytest.raises(UnknownNameError, match="Unknown format 'coreml'") as caught:
        import_file(tmp_path / "log", name="coreml")
    assert "executorch" in str(caught.value.hint)


def test_a_file_in_no_known_format_is_named(tmp_path: Path):
    (tmp_path / "log").write_text("whatever")
    with pytest.raises(UsageError, match=r"log: This is in no format that is known\."):
        import_file(tmp_path / "log")
