"""The store of records: SQLite in the project by default, PostgreSQL by URL."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Select, insert, inspect, select
from sqlalchemy.exc import IntegrityError

from slmdeploy.errors import UnknownNameError, UsageError
from slmdeploy.store import schema
from slmdeploy.store.engine import BUSY_TIMEOUT_S, IMMEDIATE, make_engine, translated
from slmdeploy.store.ids import new_id
from slmdeploy.store.record import Record, read_record

__all__ = ["DEFAULT_PLACE", "Store", "open_store"]

DEFAULT_PLACE = Path(".slmdeploy") / "records.db"
"""Of the project's records, below its folder."""


class Store:
    """Records in a database; close it, or use it in a ``with`` statement.

    Several processes may write at the same time: each waits for the others.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{IMMEDIATE: True})
        self._where = _shown(engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The database, without a password, for messages."""
        return self._where

    def close(self) -> None:
        """Let go of all connections; may be called twice."""
        self._engine.dispose()

    def add(self, record: Record) -> str:
        """Keep a record and its samples, all or nothing.

        Returns:
            The id: the record's own, or a new one if that is taken already.

        Raises:
            UsageError: The database cannot be written.
        """
        with translated(self._where):
            for _ in range(_TRIES):
                try:
                    with self._writer.begin() as connection:
                        _insert(connection, record)
                except IntegrityError:  # two records of one second drew the same letters
                    record = record.model_copy(update={"id": new_id(record.created)})
                else:
                    return record.id
        raise UsageError(f"No free id was found in {self._where} for a record.")

    def get(self, id_or_prefix: str) -> Record:
        """The record with that id, or the only one whose id begins so.

        Raises:
            UnknownNameError: There is none.
            UsageError: Several begin so; the hint lists them.
        """
        ids = schema.records.c.id
        with translated(self._where), self._engine.connect() as connection:
            known = connection.execute(select(ids).order_by(ids)).scalars().all()
            found = [name for name in known if name == id_or_prefix] or [
                name for name in known if name.startswith(id_or_prefix)
            ]
            if len(found) == 1:
                record = _load(connection, select(schema.records).where(ids == found[0]))[0]
                return record.model_copy(update={"watch_log": _log_of(connection, record.id)})
        if not found:
            raise UnknownNameError("record", id_or_prefix, known[-_LISTED:])
        raise UsageError(
            f"{len(found)} records begin with {id_or_prefix!r}.",
            hint=f"Say more of the id: {', '.join(found[-_LISTED:])}.",
        )

    def list(
        self,
        *,
        model: str | None = None,
        bundle: str | None = None,
        target: str | None = None,
        device: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        samples: bool = True,
    ) -> tuple[Record, ...]:
        """Records that match all that is given, oldest first.

        Args:
            model: Name of the model.
            bundle: Name of the bundle.
            target: Name of the target.
            device: Name of the device.
            status: ``valid``, ``invalid`` or ``failed``.
            limit: Only the latest so many.
            samples: Load the samples; a mere listing does not need them.
        """
        columns = schema.records.c
        wanted = {
            columns.model: model,
            columns.bundle: bundle,
            columns.target: target,
            columns.device: device,
            columns.status: status,
        }
        query = (
            select(schema.records)
            .where(*(column == value for column, value in wanted.items() if value is not None))
            .order_by(columns.created.desc(), columns.id.desc())
            .limit(limit)
        )
        with translated(self._where), self._engine.connect() as connection:
            return tuple(reversed(_load(connection, query, samples=samples)))


_TRIES = 8
_LISTED = 20


def open_store(
    url_or_path: str | Path = DEFAULT_PLACE,
    *,
    create: bool = True,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Store:
    """Open a database of records; its tables are made or brought up to date.

    Args:
        url_or_path: An SQLite file, or a database URL as SQLAlchemy takes it.
        create: Make the SQLite file and its folder where they are not there yet.
        busy_timeout_s: How long a writer waits for another process, in seconds.

    Raises:
        UsageError: Not a database, locked, damaged, of a later version, or not there.
    """
    if not create and "://" not in str(url_or_path) and not Path(url_or_path).exists():
        raise UsageError(
            f"There are no records at {url_or_path}.", hint="Make one: slmdeploy bench BUNDLE"
        )
    store = Store(make_engine(url_or_path, busy_timeout_s=busy_timeout_s))
    try:
        with translated(store.where):
            _prepare(store)
    except BaseException:
        store.close()
        raise
    return store


def _prepare(store: Store) -> None:
    """Write only where something must change: a read-only database can still be read."""
    with store._engine.connect() as connection:  # noqa: SLF001 - the same module
        version = _version(connection)
    if version != schema.SCHEMA_VERSION:
        with store._writer.begin() as connection:  # noqa: SLF001 - the same module
            schema.prepare(connection, store.where, schema.MIGRATIONS)


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema.schema_version.name):
        return None
    return connection.execute(select(schema.schema_version.c.version)).scalar_one_or_none()


def _shown(engine: Engine) -> str:
    if engine.url.get_backend_name() == "sqlite":
        return engine.url.database or "in memory"
    return engine.url.render_as_string(hide_password=True)


def _insert(connection: Connection, record: Record) -> None:
    document = record.model_dump(mode="json", exclude={"samples"})
    connection.execute(
        insert(schema.records).values(
            id=record.id,
            created=record.created.astimezone(UTC).isoformat(timespec="microseconds"),
            status=record.status,
            bundle=record.bundle,
            model=record.model_name,
            recipe=record.recipe_name,
            target=record.target,
            device=record.device,
            document=document,
        )
    )
    if record.samples:
        connection.execute(insert(schema.samples), _sample_rows(record))
    if record.watch_log:
        log = zlib.compress(record.watch_log.encode())
        connection.execute(insert(schema.watch_logs).values(record_id=record.id, log=log))


def _sample_rows(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "record_id": record.id,
            "position": position,
            "role": sample.role,
            "outcome": sample.outcome,
            "document": sample.model_dump(mode="json"),
        }
        for position, sample in enumerate(record.samples)
    ]


def _load(connection: Connection, query: Select[Any], *, samples: bool = True) -> list[Record]:
    """The records of a query, in its order."""
    rows = connection.execute(query).all()
    kept: dict[str, list[Any]] = {row.id: [] for row in rows}
    for record_id, document in _samples_of(connection, list(kept) if samples else []):
        kept[record_id].append(document)
    return [read_record({**row.document, "samples": kept[row.id]}) for row in rows]


def _log_of(connection: Connection, record_id: str) -> str | None:
    columns = schema.watch_logs.c
    query = select(columns.log).where(columns.record_id == record_id)
    log: bytes | None = connection.execute(query).scalar_one_or_none()
    return None if log is None else zlib.decompress(log).decode()


def _samples_of(connection: Connection, ids: Sequence[str]) -> list[tuple[str, Any]]:
    columns = schema.samples.c
    query = select(columns.record_id, columns.document).where(columns.record_id.in_(ids))
    rows = connection.execute(query.order_by(columns.record_id, columns.position))
    return [(record_id, document) for record_id, document in rows]
