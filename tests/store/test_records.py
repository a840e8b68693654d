from __future__ import annotations

import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest

from slmdeploy.bench.sensors import BoardWatch
from slmdeploy.errors import UnknownNameError, UsageError
from slmdeploy.store import schema
from slmdeploy.store.records import open_store

from .recorded import FAILED, SAMPLE, record


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "records.db") as opened:
        yield opened


def test_a_record_comes_back_whole(store):
    kept = record()
    assert store.add(kept) == kept.id
    assert store.get(kept.id) == kept
    assert store.get(kept.id).samples == (SAMPLE, FAILED)


def test_the_raw_text_of_the_readings_is_kept_apart(store, tmp_path):
    log = '{"t":1,"read":[0]}\n' * 1000
    kept = store.add(record(watch=BoardWatch(agent_cpu_share=0.004), watch_log=log))
    assert store.get(kept).watch_log == log
    assert store.get(kept).watch == BoardWatch(agent_cpu_share=0.004)
    assert store.list()[0].watch_log is None
    assert "watch_log" not in store.get(kept).model_dump()
    connection = sqlite3.connect(tmp_path / "records.db")
    stored = connection.execute("SELECT length(log) FROM watch_logs").fetchone()[0]
    connection.close()
    assert stored < len(log) / 10


def test_a_record_outlives_the_store(tmp_path):
    with open_store(tmp_path / "records.db") as first:
        kept = first.add(record())
    with open_store(tmp_path / "records.db") as second:
        assert second.get(kept).id == kept


def test_every_sample_is_a_row_with_its_outcome(store, tmp_path):
    store.add(record())
    connection = sqlite3.connect(tmp_path / "records.db")
    rows = connection.execute("SELECT position, role, outcome FROM samples").fetchall()
    connection.close()
    assert rows == [(0, "timed", "ok"), (1, "timed", "failed")]


def test_a_failed_record_without_samples_is_kept(store):
    kept = record(status="failed", reason="out of memory", samples=())
    assert store.get(store.add(kept)) == kept


def test_an_id_that_is_taken_gives_a_new_one(store):
    first = record(id="261122-195132-abcd")
    assert store.add(first) == first.id
    second = store.add(first)
    assert second != first.id
    assert second.startswith("261122-195132-")
    assert store.get(second).samples == first.samples


def test_a_unique_prefix_is_enough(store):
    store.add(record(id="261122-195132-abcd"))
    store.add(record(id="261122-195132-bbcd"))
    assert store.get("261122-195132-b").id == "261122-195132-bbcd"


def test_an_ambiguous_prefix_lists_its_records(store):
    store.add(record(id="261122-195132-abcd"))
    store.add(record(id="261122-195132-bbcd"))
    with pytest.raises(UsageError, match="2 records begin with '261122'") as caught:
        store.get("261122")
    assert "261122-195132-abcd" in caught.value.hint


def test_an_id_that_begins_another_id_is_still_found(store):
    store.add(record(id="ab"))
    store.add(record(id="abc"))
    assert store.get("ab").id == "ab"


def test_a_prefix_is_taken_letter_by_letter(store):
    store.add(record(id="261122-195132-abcd"))
    for pattern in ("%", "261122_"):
        with pytest.raises(UnknownNameError):
            store.get(pattern)


def test_an_unknown_id_lists_those_that_exist(store):
    store.add(record(id="261122-195132-abcd"))
    with pytest.raises(UnknownNameError, match="Did you mean '261122-195132-abcd'"):
        store.get("261122-195132-abce")


def test_records_are_listed_in_the_order_of_time(store):
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for hours in (5, 1, 3):
        store.add(record(created=begin + timedelta(hours=hours)))
    hours = [kept.created.hour for kept in store.list()]
    assert hours == [1, 3, 5]
    assert [kept.created.hour for kept in store.list(limit=2)] == [3, 5]


def test_records_are_filtered_by_all_that_is_given(store):
    first = store.add(record(device="pi5-a"))
    second = store.add(record(device="pi5-b"))
    store.add(record(device="pi5-b", status="failed", reason="x"))
    assert [kept.id for kept in store.list(device="pi5-a")] == [first]
    assert [kept.id for kept in store.list(device="pi5-b", status="valid")] == [second]
    assert store.list(model="demo", target="nowhere") == ()
    assert len(store.list(model="demo", bundle="demo--rpi5-executorch")) == 3


def test_a_listing_can_leave_the_samples_where_they_are(store):
    store.add(record())
    assert store.list(samples=False)[0].samples == ()
    assert len(store.list()[0].samples) == 2


def test_an_empty_store_lists_nothing(store):
    assert store.list() == ()


def test_closing_twice_is_allowed(store):
    store.close()
    store.close()


def test_writers_wait_for_each_other(tmp_path):
    path, failures = tmp_path / "records.db", []

    def write():
        try:
            with open_store(path) as mine:
                for _ in range(5):
                    mine.add(record())
        except UsageError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_store(path) as reader:
        assert len(reader.list()) == 20


def test_a_database_that_stays_locked_is_said_to_be(tmp_path):
    path = tmp_path / "records.db"
    open_store(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UsageError, match="database is locked") as caught:
        open_store(path, busy_timeout_s=0.01)
    holder.close()
    assert "Another process" in caught.value.hint


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "records.db"
    path.write_text("these are my notes, not a database\n" * 100)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="file is not a database"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_damaged_database_is_said_to_be(tmp_path):
    path = tmp_path / "records.db"
    with open_store(path) as first:
        for _ in range(30):
            first.add(record())
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with (
        pytest.raises(UsageError, match=r"The database .*records\.db cannot be used"),
        open_store(path) as second,
    ):
        second.list()


def test_a_later_schema_is_refused(tmp_path):
    path = tmp_path / "records.db"
    open_store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 9")
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match="has schema version 9"):
        open_store(path)


def test_an_older_schema_is_migrated_when_opened(tmp_path, monkeypatch):
    path = tmp_path / "records.db"
    open_store(path).close()
    migrated = []
    newest = schema.SCHEMA_VERSION
    monkeypatch.setattr(schema, "SCHEMA_VERSION", newest + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, migrated.append))
    open_store(path).close()
    open_store(path).close()
    assert len(migrated) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_database_can_be_read_and_not_written(tmp_path):
    path = tmp_path / "records.db"
    with open_store(path) as first:
        kept = first.add(record())
    path.chmod(0o444)
    with open_store(path) as second:
        assert second.get(kept).id == kept
        with pytest.raises(UsageError, match="readonly"):
            second.add(record())


def test_a_database_opened_read_only_refuses_to_be_written(tmp_path):
    path = tmp_path / "records.db"
    open_store(path).close()
    with open_store(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        assert store.list() == ()
        with pytest.raises(UsageError, match="readonly") as caught:
            store.add(record())
    assert "read-only" in caught.value.hint


def test_a_missing_file_is_not_made_where_that_is_not_wanted(tmp_path):
    with pytest.raises(UsageError, match="There are no records at") as caught:
        open_store(tmp_path / "records.db", create=False)
    assert "slmdeploy bench" in caught.value.hint
    assert not (tmp_path / "records.db").exists()
