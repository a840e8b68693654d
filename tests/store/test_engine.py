from __future__ import annotations

import sys

import pytest

from slmdeploy.errors import UsageError
from slmdeploy.store.engine import make_engine


def test_a_url_of_no_known_kind_is_refused():
    with pytest.raises(UsageError, match="is of no known kind"):
        make_engine("oracel://user@host/name")


def test_what_is_no_url_is_refused_without_its_password():
    with pytest.raises(UsageError, match="is not a database URL") as caught:
        make_engine("postgresql://user:secret@host:port/name")
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match="needs the Python package 'psycopg'") as caught:
        make_engine("postgresql+psycopg://user:secret@host/name")
    assert "secret" not in str(caught.value)


def test_the_folder_of_a_file_is_made(tmp_path):
    make_engine(tmp_path / "a" / "b" / "records.db").dispose()
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file.* for records cannot be made"):
        make_engine(tmp_path / "file" / "records.db")
