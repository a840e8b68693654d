from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.bench.measure import Measurement
from slmdeploy.bench.summary import MetricValue, size_values
from slmdeploy.errors import UsageError
from slmdeploy.store import record as module
from slmdeploy.store.record import Record, make_record, read_record

from .recorded import FAILED, MODEL, SAMPLE, record

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    value=st.none() | FINITE,
    reason=st.none() | st.text(max_size=20),
    notes=st.lists(st.text(max_size=20), max_size=3),
    provenance=st.dictionaries(st.text(max_size=5), st.none() | FINITE | st.text(max_size=5)),
)
def test_a_record_survives_json(value, reason, notes, provenance):
    made = record(
        metrics={"ttft_ms": MetricValue(value=value, unit="ms", n=1, reason=reason)},
        notes=notes,
        provenance=provenance,
    )
    document = json.loads(json.dumps(made.model_dump(mode="json"), allow_nan=False))
    assert read_record(document) == made


def test_a_measurement_becomes_a_record_with_all_its_samples():
    first = record()
    measured = Measurement(
        workload=first.workload,
        threads=2,
        samples=(SAMPLE, FAILED),
        summary=first.metrics,
        status="valid",
        reason=None,
        notes=("1 of 2 runs not counted: killed",),
    )
    made = make_record(
        measured,
        bundle="b",
        manifest_sha256=None,
        model=MODEL,
        recipe=first.recipe,
        target="t",
        device="local",
        sizes=size_values({"artifact_bytes": 7}),
        provenance={"a": 1},
    )
    assert made.samples == (SAMPLE, FAILED)
    assert made.metrics["artifact_bytes"].value == 7
    assert made.metrics["ttft_ms"].value == 52.25
    assert (made.threads, made.status, made.notes) == (2, "valid", measured.notes)


def test_a_record_of_a_later_version_is_refused_by_name():
    document = {**record().model_dump(mode="json"), "version": 99}
    with pytest.raises(UsageError, match="has version 99; this slmdeploy reads up to 3"):
        read_record(document)


def test_a_damaged_record_is_named_with_its_field():
    document = record(id="261122-195132-abcd").model_dump(mode="json")
    document["metrics"]["ttft_ms"].pop("unit")
    with pytest.raises(UsageError, match=r"'261122-195132-abcd' is damaged: metrics.ttft_ms.unit"):
        read_record(document)


def test_a_record_of_version_1_was_made_without_sensors():
    document = {**record().model_dump(mode="json"), "version": 1}
    del document["watch"]
    for sample in document["samples"]:
        del sample["sensors"], sample["unwatched"]
    assert read_record(document).watch is None
    assert read_record(document).samples == record().samples


def test_an_older_document_is_brought_up_to_date(monkeypatch):
    old = record().model_dump(mode="json")
    old["board"] = old.pop("device")
    old["version"] = 0

    def upgrade(document):
        return {**{k: v for k, v in document.items() if k != "board"},
                "device": document["board"], "version": 1}  # fmt: skip

    monkeypatch.setitem(module._UPGRADES, 0, upgrade)
    assert read_record(old).device == "pi5-a"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="timezone"):
        Record.model_validate({**record().model_dump(), "created": "2026-11-22T19:51:32"})
