from __future__ import annotations

import pytest
from sqlalchemy import create_engine, insert, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from slmdeploy.errors import UsageError
from slmdeploy.store import schema


@pytest.fixture
def connection():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as open_connection:
        yield open_connection
    engine.dispose()


def version(connection):
    return connection.execute(select(schema.schema_version.c.version)).scalar_one()


def test_an_empty_database_gets_the_tables_and_the_version(connection):
    schema.prepare(connection, "x")
    assert set(inspect(connection).get_table_names()) == {
        "records",
        "samples",
        "schema_version",
        "watch_logs",
    }
    assert version(connection) == schema.SCHEMA_VERSION


def test_preparing_twice_changes_nothing(connection):
    schema.prepare(connection, "x")
    schema.prepare(connection, "x")
    assert version(connection) == schema.SCHEMA_VERSION


def test_an_older_database_is_migrated_step_by_step(connection):
    schema.prepare(connection, "x", ())
    steps = (
        lambda c: c.execute(text("ALTER TABLE records ADD COLUMN colour TEXT")),
        lambda c: c.execute(text("ALTER TABLE records RENAME COLUMN colour TO hue")),
    )
    schema.prepare(connection, "x", steps)
    assert version(connection) == 3
    assert "hue" in {column["name"] for column in inspect(connection).get_columns("records")}


def test_a_database_of_the_first_version_gets_the_table_of_raw_readings(connection):
    schema.prepare(connection, "x", ())
    connection.execute(text("DROP TABLE watch_logs"))
    schema.prepare(connection, "x")
    assert version(connection) == schema.SCHEMA_VERSION
    assert inspect(connection).get_pk_constraint("watch_logs")["constrained_columns"] == [
        "record_id"
    ]


def test_a_database_of_a_later_version_is_refused_by_name(connection):
    schema.prepare(connection, "x")
    connection.execute(text("UPDATE schema_version SET version = 42"))
    with pytest.raises(UsageError, match="The database lab has schema version 42"):
        schema.prepare(connection, "lab")


def test_a_database_of_someone_else_is_left_alone(connection):
    connection.execute(text("CREATE TABLE records (id INTEGER)"))
    with pytest.raises(UsageError, match="'records' that slmdeploy did not make"):
        schema.prepare(connection, "x")
    assert inspect(connection).get_table_names() == ["records"]


def test_an_emptied_version_table_is_refused(connection):
    schema.prepare(connection, "x")
    connection.execute(text("DELETE FROM schema_version"))
    with pytest.raises(UsageError, match="no usable schema version"):
        schema.prepare(connection, "x")


@pytest.mark.parametrize(
    "table", [schema.records, schema.samples, schema.schema_version, schema.watch_logs]
)
def test_the_tables_compile_for_postgresql(table):
    created = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert f"CREATE TABLE {table.name}" in created


def test_the_statements_compile_for_postgresql():
    document = insert(schema.records).values(id="a", document={})
    assert "INSERT INTO records" in str(document.compile(dialect=postgresql.dialect()))
