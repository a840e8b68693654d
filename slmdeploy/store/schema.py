"""The tables, their version, and the way from an older version to this one."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)

from slmdeploy.errors import UsageError

__all__ = [
    "MIGRATIONS",
    "SCHEMA_VERSION",
    "prepare",
    "records",
    "samples",
    "schema_version",
    "watch_logs",
]

_metadata = MetaData()

records = Table(
    "records",
    _metadata,
    Column("id", String(64), primary_key=True),
    Column("created", String(40), nullable=False),  # ISO 8601 in UTC: sorts as text
    Column("status", String(16), nullable=False),
    Column("bundle", String(255), nullable=False, index=True),
    Column("model", String(255), nullable=False, index=True),
    Column("recipe", String(255), nullable=False),
    Column("target", String(255), nullable=False, index=True),
    Column("device", String(255), nullable=False, index=True),
    Column("document", JSON, nullable=False),  # the record without its samples
)

samples = Table(
    "samples",
    _metadata,
    Column("record_id", ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("document", JSON, nullable=False),
)

watch_logs = Table(
    "watch_logs",
    _metadata,
    Column("record_id", ForeignKey("records.id", ondelete="CASCADE"), primary_key=True),
    Column("log", LargeBinary, nullable=False),  # UTF-8, compressed by zlib
)

schema_version = Table("schema_version", _metadata, Column("version", Integer, nullable=False))

Migration = Callable[[Connection], None]


def _add_watch_logs(connection: Connection) -> None:
    watch_logs.create(connection)


MIGRATIONS: tuple[Migration, ...] = (_add_watch_logs,)
"""Number *i* changes the tables of version *i + 1* into those of the next."""

SCHEMA_VERSION = len(MIGRATIONS) + 1


def prepare(
    connection: Connection, where: str, migrations: tuple[Migration, ...] = MIGRATIONS
) -> None:
    """Create the tables, or bring older ones up to date, within the open transaction.

    Args:
        connection: To the database.
        where: The database, for messages.
        migrations: All that there are.

    Raises:
        UsageError: The database is of a later version, or is not one of ours.
    """
    newest = len(migrations) + 1
    if not inspect(connection).has_table(schema_version.name):
        _create(connection, where, newest)
        return
    found = connection.execute(select(schema_version.c.version)).scalar_one_or_none()
    if found is None or found < 1:
        raise UsageError(f"The database {where} has no usable schema version ({found}).")
    if found > newest:
        raise UsageError(
            f"The database {where} has schema version {found}; this slmdeploy knows up to "
            f"{newest}.",
            hint="Upgrade: pip install -U slmdeploy, or name another database.",
        )
    for migrate in migrations[found - 1 :]:
        migrate(connection)
    if found < newest:
        connection.execute(update(schema_version).values(version=newest))


def _create(connection: Connection, where: str, version: int) -> None:
    present = set(inspect(connection).get_table_names()) & {
        table.name for table in (records, samples, watch_logs)
    }
    if present:
        raise UsageError(
            f"The database {where} has a table {min(present)!r} that slmdeploy did not make.",
            hint="Name another database.",
        )
    _metadata.create_all(connection)
    connection.execute(insert(schema_version).values(version=version))
