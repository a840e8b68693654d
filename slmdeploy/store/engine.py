"""The engine: SQLite as we want it, and SQLAlchemy's errors in our words."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, SQLAlchemyError

from slmdeploy.errors import UsageError

__all__ = ["BUSY_TIMEOUT_S", "IMMEDIATE", "make_engine", "translated"]

BUSY_TIMEOUT_S = 20
"""How long a writer waits for another one."""

IMMEDIATE = "slmdeploy_immediate"
"""Execution option: take SQLite's write lock at the start of the transaction."""

_dumps = functools.partial(json.dumps, allow_nan=False, ensure_ascii=False)


def make_engine(url_or_path: str | Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine for a database URL, or for an SQLite file whose folder is made.

    Raises:
        UsageError: The URL is wrong, its driver is missing, or the folder cannot be made.
    """
    url = _url(url_or_path)
    shown = url.render_as_string(hide_password=True)
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, json_serializer=_dumps, pool_pre_ping=True)
        return _sqlite(url, busy_timeout_s)
    except ImportError as error:
        raise UsageError(
            f"The database {shown} needs the Python package {error.name!r}.",
            hint=f"Run: pip install {error.name}",
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"The database {shown} is of no known kind: {error}.") from error


def _url(url_or_path: str | Path) -> URL:
    text = str(url_or_path)
    if "://" not in text:
        path = Path(text).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The folder {path.parent} for records cannot be made: {error.strerror}."
            ) from error
        return URL.create("sqlite", database=str(path))
    try:
        return make_url(text)
    except (ArgumentError, ValueError) as error:  # a port that is no number
        raise UsageError(
            f"{text.split('://', maxsplit=1)[0]}://... is not a database URL.",
            hint="As in postgresql+psycopg://user@host/name, or a path of an SQLite file.",
        ) from error


def _sqlite(url: URL, busy_timeout_s: float) -> Engine:
    """SQLite in one file; connections are closed as soon as they are free.

    The rollback journal is kept: a write-ahead log does not work on network file
    systems, and a writer here holds its lock for milliseconds.
    """
    engine = create_engine(
        url,
        json_serializer=_dumps,
        poolclass=NullPool,
        connect_args={"timeout": busy_timeout_s, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    # The driver's own transactions begin too late for a lock; ours begin when told.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn SQLAlchemy's errors into ours.

    Raises:
        UsageError: Locked, read-only, damaged, not a database, or away.
    """
    try:
        yield
    except DatabaseError as error:
        said = str(error.orig).strip()
        raise UsageError(
            f"The database {where} cannot be used: {said}.", hint=_hint(said)
        ) from error
    except SQLAlchemyError as error:
        raise UsageError(f"The database {where} cannot be used: {error}.") from error


_HINTS = {
    "locked": "Another process is writing for long; try again when it is done.",
    "readonly": "The file or its folder is read-only: name another one with --store.",
    "unable to open": "Is the path right, and may this user write there?",
    "not a database": "This is not an SQLite file: name another one with --store.",
    "malformed": "The file is damaged; move it aside, and a new one is made.",
}


def _hint(said: str) -> str | None:
    return next((hint for word, hint in _HINTS.items() if word in said), None)
